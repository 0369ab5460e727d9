"""Documents that clients name by their SHA-256: trusted ones of the rows, and those that clients have registered themselves,
which the cache has as long as it likes."""

from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from rules.client_documents import TrustedDocument, document_id
from stores.cache import Cache
from stores.rows import Row, Rows
from stores.tables import TRUSTED_DOCUMENTS

KEPT_FOR = 30.0
"""Seconds after which a process asks again whether a document is trusted: so long one that was removed is still answered."""
MOST_BYTES = 8 * MEGABYTE
"""Of trusted documents that a process keeps, and of what it knows not to be trusted."""
SLOTS = 4_096
"""Places for registered documents. Two of one place take it in turn: so all of them take no more than ``longest_document`` for
each place, whoever registers what."""
PERSISTED_FOR = 7 * 24 * 3600.0
"""Seconds that the cache keeps a registered document."""
RANGES = 8


class ClientDocuments:
    """Those of one process."""

    def __init__(self, rows: Rows, cache: Cache) -> None:
        self._rows = rows
        self._cache = cache
        self._kept: Kept[str, TrustedDocument | None] = Kept(MOST_BYTES, _bytes, ttl=KEPT_FOR)

    async def trusted(self, identifier: str) -> TrustedDocument | None:
        """The trusted document of this id; None where there is none."""
        try:
            return self._kept[identifier]  # not asked first whether it is there: it may end between two looks
        except KeyError:
            row = await self._rows.get(TRUSTED_DOCUMENTS, (identifier,))
        found = self._kept[identifier] = None if row is None else _trusted(row)
        return found

    async def all_trusted(self) -> list[TrustedDocument]:
        """All trusted documents as the rows have them now, by name."""
        found = [
            _trusted(row)
            for token_range in self._rows.ranges(RANGES)
            async for page in self._rows.walk(TRUSTED_DOCUMENTS, token_range)
            for row in page.rows
        ]
        return sorted(found, key=lambda document: (document.name, document.id))

    async def persisted(self, identifier: str) -> str | None:
        """The text that a client has registered under its hash; None where the cache does not have it (any more)."""
        kept = await self._cache.get(_slot(identifier))
        if kept is None:
            return None
        text = kept.decode("utf-8", "surrogatepass")
        return text if document_id(text) == identifier else None

    async def persist(self, text: str) -> None:
        """Keeps the text under its hash. It must be one that the limits let through."""
        await self._cache.set(_slot(document_id(text)), text.encode("utf-8", "surrogatepass"), PERSISTED_FOR)


def _trusted(row: Row) -> TrustedDocument:
    return TrustedDocument(row["id"], row["name"], row["text"], row["loaded_on"])


def _slot(identifier: str) -> str:
    return f"document:{int(identifier[:8], 16) % SLOTS:x}"


def _bytes(identifier: str, document: TrustedDocument | None) -> int:
    own = () if document is None else (document.id, document.name, document.text)
    return ENTRY + texts(identifier, *own)
