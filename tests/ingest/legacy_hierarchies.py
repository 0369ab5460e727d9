"""A small existing platform's ``content_hierarchy``, odd rows included.

=========== ====================================================================================================
do_live     published, nothing else
do_same     published; the version for authors says the same, but has no metadata of the root, as the platform stores it
do_edited   published; authors added a unit with a new leaf, and made the film optional
do_new      never published
do_old      never published, under its plain id
chapter     a unit of do_live, stored under its own id
do_gone     retired, both rows
do_empty    no hierarchy
do_torn     no JSON
do_loop     contains itself
do_nameless has a unit without a name
do_other    the tree of another collection
=========== ====================================================================================================
"""

from typing import Any

import orjson

from rules.hierarchy import COLLECTION_MIME_TYPE
from stores.rows import Row
from tests.ingest.legacy_platform import LegacyTable

Json = dict[str, Any]

URL = "cassandra://sunbird:secret@lms/dev_hierarchy_store"
OPTIONAL = {"film": {"optional": True, "keywords": ["k"], "relName": "Look"}}


def leaf(identifier: str, **more: Any) -> Json:
    named = {"identifier": identifier, "name": identifier.title(), "mimeType": "video/mp4"}
    return {**named, "visibility": "Default", "status": "Live", "pkgVersion": 2, **more}


def unit(identifier: str, *children: Json, **more: Any) -> Json:
    return {
        "identifier": identifier,
        "name": identifier.title(),
        "mimeType": COLLECTION_MIME_TYPE,
        "visibility": "Parent",
        **more,
        "children": list(children),
    }


def live(identifier: str, *children: Json, **more: Any) -> Json:
    """A published tree: with metadata of the root, and what publishing adds to units."""
    return {
        "subject": ["Maths"],
        "identifier": identifier,
        "name": identifier.upper(),
        "mimeType": COLLECTION_MIME_TYPE,
        "visibility": "Default",
        "status": "Live",
        "pkgVersion": 4,
        "lastPublishedOn": "2025-11-01",
        **more,
        "children": [{**child, "status": "Live", "pkgVersion": 4, "leafNodesCount": 1} for child in children],
    }


def image(identifier: str, *children: Json, **more: Any) -> Json:
    """A version for authors: nothing of the root but its id and children."""
    return {"identifier": identifier, **more, "children": list(children)}


def row(key: str, tree: object, relational_metadata: object = None) -> Row:
    return {
        "identifier": key,
        "hierarchy": tree if tree is None or isinstance(tree, str) else orjson.dumps(tree).decode(),
        "relational_metadata": relational_metadata and orjson.dumps(relational_metadata).decode(),
    }


def rows() -> list[Row]:
    chapter, film = unit("chapter", leaf("film"), leaf("text")), leaf("film")
    new = unit("extra", leaf("new", status="Draft"))
    return [
        row("do_live", live("do_live", chapter)),
        row("do_same", live("do_same", unit("same-unit", film))),
        row("do_same.img", image("do_same", unit("same-unit", film, status="Draft"))),
        row("do_edited", live("do_edited", unit("edited-unit", film))),
        row(
            "do_edited.img",
            image("do_edited", unit("edited-unit", film), new),
            {"edited-unit": {"root": False, "children": ["film"], "relationalMetadata": OPTIONAL}},
        ),
        row("do_new.img", image("do_new", unit("new-unit", leaf("new", status="Draft")))),
        row("do_old", live("do_old", unit("old-unit", film), status="Draft")),
        row("chapter", chapter),
        row("do_gone", live("do_gone", unit("gone-unit", film), status="Retired")),
        row("do_gone.img", image("do_gone", unit("gone-unit", film))),
        row("do_empty", None, {"do_empty": {}}),
        row("do_torn", "{torn"),
        row("do_loop", live("do_loop", unit("loop-unit", unit("do_loop")))),
        row("do_nameless", live("do_nameless", {"identifier": "x", "children": []})),
        row("do_other", live("do_live")),
    ]


def hierarchies(found: list[Row] | None = None) -> dict[str, LegacyTable]:
    """The table, by the platform's public DDL, with these rows."""
    columns = dict.fromkeys(("identifier", "hierarchy", "relational_metadata"), "text")
    table = LegacyTable("content_hierarchy", ("identifier",), (), columns, rows() if found is None else found)
    return {table.name: table}
