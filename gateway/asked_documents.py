"""Which document a request asks for: by its text, or by its SHA-256 as Apollo's persisted queries, as ``documentId``, or in the
path. One store answers all of these."""

import logging
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cachetools import LRUCache
from graphql import GraphQLError
from strawberry.http import GraphQLRequestData

from graph.schema import CohortSchema
from loaders.session import Session
from rules.client_documents import ANY_DOCUMENT, DocumentText, checked_document_id
from rules.errors import DocumentNotTrusted, InvalidInput, NotFound, PersistedQueryNotFound

log = logging.getLogger(__name__)

PATH_ID = "document_id"
"""The parameter of the path that names a document."""
Trust = Literal["any", "warn", "trusted"]
"""Documents that are executed: any; any, but those that are not trusted are logged; trusted ones alone."""
MOST_WARNED = 1_000
"""Documents that were logged and are remembered, so that each is logged once."""
_warned: LRUCache[str, None] = LRUCache(MOST_WARNED)
_PERSISTED = "persistedQuery"
_HASH = f"extensions.{_PERSISTED}.sha256Hash"


@dataclass
class AskedData(GraphQLRequestData):
    """What a request has, with the ``documentId`` of GraphQL over HTTP."""

    document_id: str | None = None


class Asked(NamedTuple):
    """A document that is asked for. ``persisted``: the client speaks Apollo's protocol, so a text is to be registered."""

    text: DocumentText | None
    id: str | None
    persisted: bool = False


def asked_for(data: AskedData, of_path: str | None = None) -> Asked:
    """What the request asks for. InvalidInput where an id is none, or where ids and text are not all of one document."""
    extension = (data.extensions or {}).get(_PERSISTED)
    if of_path is None and data.document_id is None and extension is None:
        return Asked(DocumentText(data.query) if data.query else None, None)
    ids = {
        checked_document_id(given, field)
        for given, field in (
            (of_path, "the path"),
            (data.document_id, "documentId"),
            (None if extension is None else _hash(extension), _HASH),
        )
        if given is not None
    }
    text = DocumentText(data.query) if data.query else None
    if text is not None and ids:
        ids.add(text.id)
    if len(ids) > 1:
        raise InvalidInput(
            "the request names several documents: the SHA-256 of its query must be the id that it has beside it",
            field=_HASH if extension is not None else "documentId",
        )
    return Asked(text, next(iter(ids), None), extension is not None)


async def text_of(
    asked: Asked, session: Session, schema: CohortSchema, *, trust: Trust = "any"
) -> DocumentText | None:
    """The text to execute; None where the request asks for no document.

    DocumentNotTrusted where only trusted documents are answered, this is none, and the caller has no role in ANY_DOCUMENT.
    PersistedQueryNotFound or NotFound where no text is known by the id. StoreUnavailable.
    """
    documents = session.shared.client_documents
    identifier = asked.id if asked.text is None else asked.text.id
    if identifier is None:
        return None
    if trust != "any" and not session.viewer.has(*ANY_DOCUMENT):
        trusted = await documents.trusted(identifier)
        if trusted is not None:
            return DocumentText.known_by(identifier, trusted.text)
        if trust == "trusted":
            raise DocumentNotTrusted(
                "this gateway answers trusted documents alone, and this is none of them: `cohort documents load` takes "
                "the manifest of a client"
            )
        _warn(identifier)
    if asked.text is None:
        found = await _text_by_id(identifier, session, schema, persisted=asked.persisted)
        return DocumentText.known_by(identifier, found)
    if asked.persisted and _holds(schema, asked.text):
        await documents.persist(asked.text)
    return asked.text


async def _text_by_id(identifier: str, session: Session, schema: CohortSchema, *, persisted: bool) -> str:
    documents = session.shared.client_documents
    if (text := schema.documents.text_of(identifier)) is not None:
        return text
    if (text := await documents.persisted(identifier)) is not None:
        return text
    if (trusted := await documents.trusted(identifier)) is not None:
        return trusted.text
    if persisted:
        raise PersistedQueryNotFound
    raise NotFound("no document is known by this id", field="documentId")


def _warn(identifier: str) -> None:
    if identifier not in _warned:
        _warned[identifier] = None
        log.warning(
            "document %s is not trusted; with documents = trusted it would be refused", identifier[:12]
        )


def _holds(schema: CohortSchema, text: str) -> bool:
    """Whether the document may be executed as far as the document alone tells."""
    try:
        return not schema.known(text).errors
    except GraphQLError:
        return False


def _hash(extension: Any) -> str:
    match extension:
        case {"version": 1, "sha256Hash": str(found)}:
            return found
    raise InvalidInput(
        f"extensions.{_PERSISTED} must be an object with version 1 and sha256Hash, the SHA-256 of the document",
        field=f"extensions.{_PERSISTED}",
    )
