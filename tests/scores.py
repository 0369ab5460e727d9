"""Scores for tests that are about something else than how workers compute them: stored as the workers store them."""

from loaders.attempts import attempts_of_keys
from loaders.scores import StoredScores, scores_key, scores_values
from loaders.session import Shared
from rules.identifiers import ViewKey
from rules.scores import assessment_scores
from stores.rows import Write
from stores.tables import SCORES


async def store_scores(shared: Shared, *keys: ViewKey) -> None:
    """Writes the scores in the attempts that are stored under each key. A key says where attempts are kept."""
    for key, attempts in zip(keys, await attempts_of_keys(shared.stores.rows, keys), strict=True):
        scores = assessment_scores(attempts)
        assert scores is not None
        values = scores_values(StoredScores.of(key, scores, 1))
        await shared.stores.rows.write(Write(SCORES, scores_key(key), values, timestamp=1))
