"""The names of operations that metrics have as a label: a client names them, so they are few and asked for often."""

from cachetools import LRUCache

MOST = 100
"""Names that may be a label. Each is a series of its own in Prometheus, for as long as the process lives."""
OFTEN = 20
"""How often an operation must have been executed before its name is a label: what a client makes up once never is."""
MOST_SEEN = 2_000
"""Names that are counted until then; those not seen for long are forgotten."""
OTHER = "other"


class OperationNames:
    """The names that are labels. ``known``: names that always are, such as those of trusted documents."""

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        self._labels: set[str] = set(known)
        self._seen: LRUCache[str, int] = LRUCache(MOST_SEEN)

    def label(self, name: str) -> str:
        """The name, or OTHER while it was not executed often, or once there are MOST names."""
        if name in self._labels:
            return name
        if not name or len(self._labels) >= MOST:
            return OTHER
        count = self._seen.get(name, 0) + 1
        self._seen[name] = count
        if count < OFTEN:
            return OTHER
        self._labels.add(name)
        return name
