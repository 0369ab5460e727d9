"""Trusted documents in the rows, and what a process remembers of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.writes.trusted_documents import remove_trusted, save_trusted
from loaders.client_documents import ClientDocuments
from rules.client_documents import TrustedDocument, document_id
from tests.conftest import Instance

TEXT = "query Me { me { userId } }"
ID = document_id(TEXT)
BY_ID = "query Context($id: String!) { context(contextId: $id) { name } }"


def trusted(text: str, name: str = "Me") -> TrustedDocument:
    return TrustedDocument(document_id(text), name, text, datetime(2026, 1, 31, tzinfo=UTC))


async def test_a_trusted_document_costs_a_read_once_and_is_no_longer_trusted_when_it_was_removed(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = cohort.stores.rows
    documents = ClientDocuments(rows, cohort.stores.cache)
    reads = 0
    real = rows.get

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal reads
        reads += 1
        return await real(*args, **kwargs)

    monkeypatch.setattr(rows, "get", counted)
    assert await documents.trusted(ID) is None
    assert await documents.trusted(ID) is None
    assert reads == 1, "one that is not trusted is not asked for again and again"
    await save_trusted(rows, [trusted(TEXT), trusted(BY_ID, "Context")])
    fresh = ClientDocuments(rows, cohort.stores.cache)
    assert (await fresh.trusted(ID), await fresh.trusted(ID)) == (trusted(TEXT), trusted(TEXT))
    assert reads == 2
    assert [document.name for document in await fresh.all_trusted()] == ["Context", "Me"]
    await remove_trusted(rows, [ID])
    assert [document.name for document in await fresh.all_trusted()] == ["Context"]
    assert await ClientDocuments(rows, cohort.stores.cache).trusted(ID) is None
