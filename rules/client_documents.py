"""Documents of GraphQL that a client names instead of sending them: what they are called, and the files that list them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from rules.access import Role
from rules.errors import InvalidInput

ANY_DOCUMENT = (Role.ADMIN, Role.SERVICE)
"""Who may send any document to a gateway that answers trusted ones alone: who looks after the instance, and its own backend."""
PREFIX = "sha256:"
"""What an id may begin with, as GraphQL over HTTP has it."""
APOLLO = "apollo-persisted-query-manifest"
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """``id``: the SHA-256 of ``text``. ``name``: that of its operations."""

    id: str
    name: str
    text: str
    loaded_on: datetime


class Listed(NamedTuple):
    """A document of a manifest: where it stands there, the id that it has there, and its text."""

    place: str
    id: str | None
    text: str


class DocumentText(str):
    """The text of a document on its way through a request. ``id``: what it is known by, worked out once, however often it is
    needed."""

    _id: str | None = None

    @classmethod
    def known_by(cls, identifier: str, text: str) -> "DocumentText":
        """The text of the document of this id, which is not worked out again."""
        found = cls(text)
        found._id = identifier
        return found

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = document_id(str(self))
        return self._id


def document_id(text: str) -> str:
    """What a document is known by, in logs and everywhere: the SHA-256 of its text, 64 hexadecimal digits."""
    if isinstance(text, DocumentText):
        return text.id
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def checked_document_id(given: str, field: str) -> str:
    """The id without its prefix, in small letters. InvalidInput where it is none."""
    found = given.removeprefix(PREFIX).lower()
    if not _ID.fullmatch(found):
        raise InvalidInput(
            f"{field} must be the SHA-256 of a document as 64 hexadecimal digits, with or without {PREFIX} before them",
            field=field,
        )
    return found


def listed_in(manifest: bytes) -> Sequence[Listed]:
    """The documents of a manifest: Apollo's, or an object of ids and texts as Relay and graphql-codegen write it.

    InvalidInput where it is neither.
    """
    try:
        found: Any = orjson.loads(manifest)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the manifest is no JSON: {error}", field="manifest") from None
    if not isinstance(found, dict):
        raise _unknown("it has no object at the top")
    if "format" in found or "operations" in found:
        return _listed_by_apollo(found)
    if wrong := [name for name, text in found.items() if not isinstance(text, str)]:
        raise _unknown(f"{wrong[0]!r} is no text")
    return [Listed(name, name, text) for name, text in found.items()]


def _listed_by_apollo(manifest: Mapping[str, Any]) -> Sequence[Listed]:
    if manifest.get("format") != APOLLO or manifest.get("version") != 1:
        raise _unknown(f"its format must be {APOLLO!r}, version 1")
    operations = manifest.get("operations")
    if not isinstance(operations, list):
        raise _unknown("operations must be a list")
    listed = []
    for number, operation in enumerate(operations):
        match operation:
            case {"id": str(given), "body": str(text)}:
                name = operation.get("name")
                place = name if isinstance(name, str) and name else f"operations[{number}]"
                listed.append(Listed(place, given, text))
            case _:
                raise _unknown(f"operations[{number}] must have an id and a body, both texts")
    return listed


def _unknown(why: str) -> InvalidInput:
    return InvalidInput(
        f"the manifest is none of Apollo's and no object of hashes and texts: {why}", field="manifest"
    )
