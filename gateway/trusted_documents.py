"""Manifests of trusted documents: read, checked as a whole, and written only where every document holds."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gateway.served_schema import schema_by
from gateway.wiring import Cohort
from graph.manifests import checked_documents
from ingest.writes.trusted_documents import save_trusted
from rules.client_documents import Listed, TrustedDocument, listed_in
from rules.errors import InvalidInput

LARGEST = 64 * 1024 * 1024
"""Bytes that the files of a manifest may have together."""
MOST_TOLD = 20
"""Documents that don't hold and are named; of others their number is told."""
SUFFIXES = (".graphql", ".gql")


async def load_manifest(cohort: Cohort, path: Path) -> Sequence[TrustedDocument]:
    """Loads the documents of the manifest and returns them.

    InvalidInput names the documents that don't hold, with the reason of each: then none is loaded. OSError where the
    manifest can't be read.
    """
    listed = await asyncio.to_thread(read_manifest, path)
    schema = schema_by(cohort.settings)
    # A thread: each document takes a millisecond or two, and the process may be answering health checks already.
    documents, problems = await asyncio.to_thread(checked_documents, schema, listed, cohort.shared.now())
    if problems:
        told = [f"{place}: {why}" for place, why in problems[:MOST_TOLD]]
        if len(problems) > MOST_TOLD:
            told.append(f"and {len(problems) - MOST_TOLD} more")
        raise InvalidInput(
            f"{path}: nothing was loaded, since of {len(listed)} documents some don't hold: "
            + "; ".join(told),
            field="trusted_documents",
        )
    await save_trusted(cohort.stores.rows, documents)
    return documents


def read_manifest(path: Path) -> Sequence[Listed]:
    """The documents of a manifest, or those of a folder: each file is one. InvalidInput where there are none."""
    files = (
        sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        if path.is_dir()
        else [path]
    )
    if sum(file.stat().st_size for file in files) > LARGEST:
        raise InvalidInput(f"{path} has more than {LARGEST:,} bytes", field="trusted_documents")
    try:
        listed = (
            [Listed(str(file.relative_to(path)), None, file.read_text(encoding="utf-8")) for file in files]
            if path.is_dir()
            else listed_in(path.read_bytes())
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: a document is no UTF-8: {error}", field="trusted_documents") from None
    if not listed:
        raise InvalidInput(f"{path} has no documents", field="trusted_documents")
    return listed
