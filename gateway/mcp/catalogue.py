"""The tools that there are, as far as this process knows."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextvars import Context

from graph.schema import CohortSchema
from graph.tools import Tool, tools_of, uniquely_named
from loaders.client_documents import KEPT_FOR, ClientDocuments
from rules.client_documents import TrustedDocument
from stores.futures import looked_at


class Catalogue:
    """The tools of the trusted documents. Those are read anew after KEPT_FOR seconds, so that one that is removed is called no
    longer than it is answered elsewhere. ``with_mutations``: whether there are tools that change something."""

    def __init__(self, schema: CohortSchema, *, with_mutations: bool) -> None:
        self._schema = schema
        self._with_mutations = with_mutations
        self._of_documents: dict[str, Sequence[Tool]] = {}
        self._tools: Mapping[str, Tool] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def tools(self, documents: ClientDocuments) -> Mapping[str, Tool]:
        """All tools by name, in the order of their names. StoreUnavailable."""
        if time.monotonic() - self._read_at >= KEPT_FOR:
            if self._reading is None or self._reading.done():
                # It is for all who wait, so it has neither the deadline nor the bill of one of them.
                self._reading = asyncio.create_task(self._read(documents), context=Context())
                self._reading.add_done_callback(looked_at)  # if all have left, nobody is told of a failure
            await asyncio.shield(self._reading)
        return self._tools

    async def _read(self, documents: ClientDocuments) -> None:
        trusted = await documents.all_trusted()
        # A thread: a document that is new takes some milliseconds, and there may be many.
        self._of_documents = await asyncio.to_thread(self._by_document, trusted)
        self._tools = uniquely_named(tool for tools in self._of_documents.values() for tool in tools)
        self._read_at = time.monotonic()

    def _by_document(self, trusted: Sequence[TrustedDocument]) -> dict[str, Sequence[Tool]]:
        return {document.id: self._tools_of(document) for document in trusted}

    def _tools_of(self, document: TrustedDocument) -> Sequence[Tool]:
        known = self._of_documents.get(document.id)
        if known is not None and all(tool.document == document for tool in known):
            return known
        return [tool for tool in tools_of(self._schema, document) if tool.reads or self._with_mutations]
