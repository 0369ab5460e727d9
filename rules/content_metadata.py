"""What authors may say of a content, a collection or a unit, by the platform's names (R-COLL-4)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from rules.contents import ContentKind, Metadata
from rules.errors import Absent, InvalidInput
from rules.hierarchy import COLLECTION_MIME_TYPE, is_pass_mark
from rules.identifiers import checked_id
from rules.texts import check_text

LARGEST = 512 * 1024
"""The most bytes that the metadata of one node may have, as JSON."""
MOST_LEVELS = 64
"""Objects and lists within each other, in the metadata of one node. A tree of them has to be JSON that encoders take."""
LARGEST_RELATION = 16 * 1024
"""The most bytes of what a child says of itself in one place. A tree may have it in each place."""
COMPUTED_KEYS = frozenset(
    {
        *("identifier", "status", "versionKey", "parent", "index", "depth", "children"),
        *(
            "pkgVersion",
            "lastPublishedOn",
            "lastPublishedBy",
            "downloadUrl",
            "variants",
            "totalCompressedSize",
        ),
        *("leafNodes", "leafNodesCount", "childNodes", "mimeTypesCount", "contentTypesCount"),
        *("createdOn", "lastUpdatedOn"),
        *("relationalMetadata", "optional"),
    }
)
"""What nobody sets: it follows from publishing, from the tree, or from when and where something was said."""
TEXTS = (
    *("name", "description", "mimeType", "primaryCategory", "contentType", "board", "framework", "author"),
    *("license", "appIcon", "artifactUrl", "code", "visibility"),
)
LISTS = ("subject", "medium", "gradeLevel", "keywords", "language", "audience")
"""Each is a list of texts. The platform has had single texts here, too."""


def changed_metadata(metadata: Metadata, changes: Mapping[str, Any], kind: ContentKind) -> dict[str, Any]:
    """Returns the metadata after the changes. None removes a key; a new key stands behind the others.

    Raises InvalidInput that names the key. A computed key that is given as it is already is passed over.
    """
    wanted = {
        checked_id(name, "metadata"): value
        for name, value in changes.items()
        if not (name in COMPUTED_KEYS and name in metadata and metadata[name] == value)
    }
    if computed := sorted(COMPUTED_KEYS & wanted.keys()):
        raise InvalidInput(f"{', '.join(computed)} can't be set: it is computed", field=computed[0])
    for name, value in wanted.items():
        if value is not None:
            _check_value(name, value)
    _check_fixed(wanted, kind)
    after = {
        name: value for name, value in metadata.items() if name not in wanted or wanted[name] is not None
    }
    after |= {name: value for name, value in wanted.items() if value is not None}
    check_extent(after)
    return after


def size_of(metadata: Metadata, field: str = "metadata") -> int:
    """Returns the bytes of the metadata as JSON. InvalidInput says that something in it is none."""
    try:
        return len(orjson.dumps(metadata))
    except TypeError as error:
        raise InvalidInput(f"{field} must be JSON: {error}", field=field) from None


def check_extent(metadata: Metadata, largest: int = LARGEST, field: str = "metadata") -> None:
    """Checks that the metadata is JSON that every tree can hold: in bytes, and in levels."""
    if size_of(metadata, field) > largest:
        raise InvalidInput(f"{field} may have at most {largest // 1024} KB as JSON", field=field)
    levels, level = 0, list[Any]([metadata])
    while level:
        levels += 1
        inside = (value for one in level for value in (one.values() if isinstance(one, Mapping) else one))
        level = [value for value in inside if isinstance(value, Mapping | list | tuple)]
    if levels > MOST_LEVELS:
        raise InvalidInput(
            f"{field} may have at most {MOST_LEVELS} objects and lists within each other", field=field
        )


def kind_of(mime_type: str) -> ContentKind:
    """Returns what a content of this MIME type is, where it stands by itself."""
    return ContentKind.COLLECTION if mime_type == COLLECTION_MIME_TYPE else ContentKind.CONTENT


def _check_value(name: str, value: Any) -> None:
    if name in TEXTS and not isinstance(value, str):
        raise InvalidInput(f"{name} must be a text", field=name)
    if name in LISTS and not (isinstance(value, str) or _is_texts(value)):
        raise InvalidInput(f"{name} must be a list of texts", field=name)
    if name in TEXTS or name in LISTS:
        for text in [value] if isinstance(value, str) else value:
            check_text(text, name, lines=name == "description")
    if name == "passMark" and not is_pass_mark(value):
        raise InvalidInput(
            "passMark must be a number from 0 to 100: a percentage of the maximum score", field=name
        )
    if name == "appIcon" and not _is_web_address(str(value)):
        raise InvalidInput("appIcon must be a URL that begins with http:// or https://", field=name)


def _check_fixed(wanted: Mapping[str, Any], kind: ContentKind) -> None:
    """Checks what must be there and what can't become something else."""
    if "name" in wanted and not (wanted["name"] or "").strip():
        raise Absent("name can be changed but not cleared, and must not be blank", field="name")
    if "mimeType" in wanted:
        mime_type = checked_id(wanted["mimeType"], "mimeType")
        if kind_of(mime_type) is not (
            ContentKind.CONTENT if kind is ContentKind.CONTENT else ContentKind.COLLECTION
        ):
            raise InvalidInput(
                "a content can't become a collection, nor a collection a content", field="mimeType"
            )
    if "visibility" in wanted and (wanted["visibility"] == "Parent") is not (kind is ContentKind.UNIT):
        raise InvalidInput("units have the visibility Parent, and nothing else has", field="visibility")


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _is_web_address(text: str) -> bool:
    try:
        address = urlsplit(text)
    except ValueError:
        return False
    return (
        address.scheme in ("http", "https")
        and bool(address.hostname)
        and text.isprintable()
        and " " not in text
    )
