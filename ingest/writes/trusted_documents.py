"""How trusted documents are written and removed."""

from collections.abc import Iterable

from rules.client_documents import TrustedDocument
from stores.rows import Rows, Write
from stores.tables import TRUSTED_DOCUMENTS


async def save_trusted(rows: Rows, documents: Iterable[TrustedDocument]) -> None:
    """Writes the documents. One that is there is written again, which changes nothing but when it was loaded."""
    await rows.write(
        *(
            Write(
                TRUSTED_DOCUMENTS,
                (document.id,),
                {"name": document.name, "text": document.text, "loaded_on": document.loaded_on},
            )
            for document in documents
        )
    )


async def remove_trusted(rows: Rows, identifiers: Iterable[str]) -> None:
    """Removes the documents: each gateway refuses them some seconds later."""
    await rows.write(
        *(Write(TRUSTED_DOCUMENTS, (identifier,), {}, delete=True) for identifier in identifiers)
    )
