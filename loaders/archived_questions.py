"""Questions of attempts that were archived, read from the files of the archive (R-ASSESS-5)."""

from collections.abc import Sequence

from rules.attempts import Attempt, WholeAttempt
from stores.engines import Stores
from stores.rows import Key


class ArchivedQuestions:
    """Reads the archive of one instance."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def load(self, attempts: Sequence[Attempt]) -> dict[Key, WholeAttempt]:
        """The attempts with their questions, by row key. Nothing is archived yet."""
        return {}
