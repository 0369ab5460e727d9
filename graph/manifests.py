"""The documents of a manifest, checked as those of requests are, before any of them is trusted."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from graphql import GraphQLError, OperationDefinitionNode

from graph.schema import CohortSchema
from resolvers.nouns import InvalidInput, Listed, TrustedDocument, checked_document_id, document_id


class Problem(NamedTuple):
    """Why a document of a manifest can't be trusted."""

    place: str
    why: str


def checked_documents(
    schema: CohortSchema, listed: Iterable[Listed], now: datetime
) -> tuple[Sequence[TrustedDocument], Sequence[Problem]]:
    """The documents that hold, and why the others don't: an id that is not the text's, a document that this schema and its
    limits don't let through."""
    documents: dict[str, TrustedDocument] = {}
    problems: list[Problem] = []
    for place, given, text in listed:
        identifier = document_id(text)
        try:
            if given is not None and checked_document_id(given, "id") != identifier:
                raise InvalidInput(f"its id is not the SHA-256 of its text, which is {identifier}")
            known = schema.known(text)
        except (InvalidInput, GraphQLError) as error:
            problems.append(Problem(place, error.message))
            continue
        if known.errors:
            problems += [Problem(place, error.message) for error in known.errors]
            continue
        operations = [one for one in known.document.definitions if isinstance(one, OperationDefinitionNode)]
        names = [one.name.value for one in operations if one.name is not None]
        if not operations:
            problems.append(Problem(place, "it has no operation"))
            continue
        documents[identifier] = TrustedDocument(identifier, " ".join(names) or place, text, now)
    return list(documents.values()), problems
