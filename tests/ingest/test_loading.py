"""Loading a hierarchy: live at once, editable, whole after any interruption, and never over an author's edits."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.publishing.direct import publish_collection
from ingest.publishing.loading import load_hierarchy
from loaders.drafts import draft_values, drafts_by_id, edit_form
from loaders.session import Shared
from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus, nested
from rules.errors import Conflict, Forbidden, InvalidInput
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.viewers import Role
from stores.rows import Row, Rows, Write
from stores.tables import CONTENTS, DRAFTS, HIERARCHIES, NODE_ROOTS, RELATIONS
from tests.conftest import COURSE, LEAF, Instance, is_thorough

Json = dict[str, Any]

BOOK: Json = {
    "ownershipType": ["createdBy"],
    "identifier": "book",
    "children": [
        {
            "parent": "book",
            "identifier": "chapter",
            "visibility": "Parent",
            "name": "Chapter",
            "children": [
                {
                    "index": 1,
                    "name": "Film",
                    "identifier": "film",
                    "relationalMetadata": {"optional": True, "keywords": ["k"]},
                    "mimeType": "video/mp4",
                    "visibility": "Default",
                    "parent": "chapter",
                    "pkgVersion": 2,
                    "depth": 2,
                },
                {
                    "identifier": "text",
                    "name": "Text",
                    "mimeType": LEAF,
                    "index": 2,
                    "depth": 2,
                    "parent": "chapter",
                },
            ],
            "index": 1,
            "depth": 1,
        },
        {
            "identifier": "last",
            "name": "Empty",
            "mimeType": COLLECTION_MIME_TYPE,
            "children": [],
            "parent": "book",
            "index": 2,
            "depth": 1,
        },
    ],
    "name": "Book",
    "index": 0,
    "depth": 0,
    "mimeType": COLLECTION_MIME_TYPE,
    "status": "Live",
}
ANSWER: Json = {"id": "api.collection.hierarchy.get", "responseCode": "OK", "result": {"content": BOOK}}
LATER: Json = {**BOOK, "name": "Later", "children": BOOK["children"][:1]}
TABLES = (CONTENTS, DRAFTS, HIERARCHIES, RELATIONS, NODE_ROOTS)


async def draft_of(cohort: Instance, identifier: str) -> Draft | None:
    return (await drafts_by_id(cohort.stores.rows, [identifier]))[0]


async def edited(cohort: Instance, identifier: str, name: str = "An author's") -> None:
    """As a command of an author leaves the draft."""
    draft = await draft_of(cohort, identifier)
    assert draft is not None
    mine = replace(
        draft, imported=False, version_key="an author's", metadata={**draft.metadata, "name": name}
    )
    await cohort.stores.rows.write(Write(DRAFTS, (identifier,), draft_values(mine)))


async def tree_of_draft(cohort: Instance, identifier: str) -> Json:
    draft = await draft_of(cohort, identifier)
    assert draft is not None
    form = await edit_form(cohort.stores.rows, draft)
    assert form is not None
    leaves = {
        leaf.identifier: leaf.metadata for leaf in await drafts_by_id(cohort.stores.rows, form.leaves) if leaf
    }
    return nested(draft.metadata, form, leaves)


async def live_tree(cohort: Instance, identifier: str) -> tuple[int, Json]:
    library = cohort.session().library
    library.contents.forget(identifier)
    content = await library.collection(identifier)
    return content.live_version, (await library.hierarchy(content)).root


async def everything(cohort: Instance) -> dict[str, list[Row]]:
    """All rows of collections, but for the keys of forms, which each attempt has of its own."""
    rows, found = cohort.stores.rows, {}
    for table in TABLES:
        named = [row for part in rows.ranges(1) async for page in rows.walk(table, part) for row in page.rows]
        found[table.name] = sorted(
            (_without_form_key(row) for row in named), key=lambda row: [str(row[name]) for name in table.key]
        )
    return found


def _without_form_key(row: Row) -> Row:
    row = {**row}
    if row.get("form_key"):
        row["form_key"] = "…"
    if str(row.get("mode")).startswith("edit:"):
        row["mode"] = "edit:…"
    return row


@pytest.mark.parametrize("document", [BOOK, ANSWER], ids=["bare", "answer"])
async def test_a_loaded_hierarchy_is_live_and_can_be_edited_with_every_key_in_its_place(
    cohort: Instance, document: Json
) -> None:
    loaded = await load_hierarchy(cohort.session(), document)
    assert (loaded.identifier, loaded.version, loaded.changed, loaded.leaf_nodes_count) == (
        "book",
        1,
        True,
        2,
    )
    version, tree = await live_tree(cohort, "book")
    assert (version, orjson.dumps(tree)) == (1, orjson.dumps(BOOK))
    draft = await draft_of(cohort, "book")
    assert draft is not None
    assert (draft.status, draft.imported, draft.name) == (DraftStatus.LIVE, True, "Book")
    assert orjson.dumps(await tree_of_draft(cohort, "book")) == orjson.dumps(BOOK)
    film = await draft_of(cohort, "film")
    assert film is not None
    assert (film.status, film.imported, film.mime_type) == (DraftStatus.LIVE, True, "video/mp4")
    assert await draft_of(cohort, "chapter") is None


async def test_the_same_document_again_changes_nothing(cohort: Instance) -> None:
    await load_hierarchy(cohort.session(), BOOK)
    before = await everything(cohort)
    again = await load_hierarchy(cohort.session(), ANSWER)
    assert (again.version, again.changed, again.leaf_nodes_count) == (1, False, 2)
    assert await everything(cohort) == before


async def test_a_newer_document_replaces_what_was_loaded_and_its_form(embedded: Instance) -> None:
    await load_hierarchy(embedded.session(), BOOK)
    loaded = await load_hierarchy(embedded.session(), LATER)
    assert (loaded.version, loaded.changed) == (2, True)
    assert (await live_tree(embedded, "book"))[1]["name"] == "Later"
    assert orjson.dumps(await tree_of_draft(embedded, "book")) == orjson.dumps(LATER)
    forms = {row["mode"] for row in (await everything(embedded))["content_hierarchy"]} - {"live"}
    assert len(forms) == 1


async def test_what_is_live_without_a_draft_gets_one(embedded: Instance) -> None:
    """Collections that were published before there were drafts."""
    await embedded.publish()
    loaded = await load_hierarchy(embedded.session(), COURSE)
    assert (loaded.version, loaded.changed) == (1, True)
    assert [child["identifier"] for child in (await tree_of_draft(embedded, "course"))["children"]] == [
        "unit-1",
        "unit-2",
    ]
    assert not (await load_hierarchy(embedded.session(), COURSE)).changed


async def test_an_authors_edits_are_not_lost(cohort: Instance) -> None:
    await load_hierarchy(cohort.session(), BOOK)
    await edited(cohort, "book")
    before = await everything(cohort)
    for document in (BOOK, LATER):
        with pytest.raises(Conflict, match="has been edited here"):
            await load_hierarchy(cohort.session(), document)
    assert await everything(cohort) == before
    assert (await load_hierarchy(cohort.session(), LATER, replace_edits=True)).version == 2
    assert (await tree_of_draft(cohort, "book"))["name"] == "Later"


async def test_an_author_who_edits_at_the_same_time_is_not_overwritten(embedded: Instance) -> None:
    """The edit comes between the load's reading of the draft and its writing."""
    await load_hierarchy(embedded.session(), BOOK)

    class Overtaken:
        def __init__(self, rows: Rows) -> None:
            self._rows = rows

        def __getattr__(self, name: str) -> Any:
            return getattr(self._rows, name)

        async def update_if(self, *call: Any) -> Any:
            await edited(embedded, "book")
            return await self._rows.update_if(*call)

    overtaken = Shared.of(replace(embedded.stores, rows=Overtaken(embedded.stores.rows)))
    with pytest.raises(Conflict, match="edited by somebody else"):
        await load_hierarchy(replace(embedded.session(), shared=overtaken), LATER)
    assert (await tree_of_draft(embedded, "book"))["name"] == "An author's"
    assert (await live_tree(embedded, "book"))[0] == 1
    forms = {row["mode"] for row in (await everything(embedded))["content_hierarchy"]} - {"live"}
    assert len(forms) == 1, "nothing is left of the form that came to nothing"


async def test_leaves_of_authors_and_leaves_published_alone_keep_their_drafts(cohort: Instance) -> None:
    await load_hierarchy(cohort.session(), BOOK)
    await edited(cohort, "film")
    alone = {"identifier": "text", "name": "Alone", "mimeType": LEAF}
    await publish_collection(cohort.session(), alone)
    changed = orjson.loads(orjson.dumps(LATER))
    for leaf in changed["children"][0]["children"]:
        leaf["name"] = "New"
    loaded = await load_hierarchy(cohort.session(), changed)
    assert loaded.leaves_kept == 2
    film, text = await draft_of(cohort, "film"), await draft_of(cohort, "text")
    assert film is not None
    assert text is not None
    assert (film.name, film.imported, text.name) == ("An author's", False, "Alone")


async def test_an_author_who_edits_a_leaf_while_it_is_loaded_wins(cohort: Instance) -> None:
    """Whichever of the two is written first: here the author's, which the load did not see yet."""
    author = Draft(
        "film", ContentKind.CONTENT, DraftStatus.DRAFT, {"identifier": "film", "name": "Mine"}, "mine"
    )
    shared = cohort.shared
    await cohort.stores.rows.write(Write(DRAFTS, ("film",), draft_values(author)))

    class Blind:
        def __init__(self, rows: Rows) -> None:
            self._rows = rows

        def __getattr__(self, name: str) -> Any:
            return getattr(self._rows, name)

        async def get_many(self, table: Any, *call: Any) -> Any:
            return {} if table is DRAFTS else await self._rows.get_many(table, *call)

    blind = replace(shared, stores=replace(shared.stores, rows=Blind(shared.stores.rows)))
    await load_hierarchy(replace(cohort.session(), shared=blind), BOOK)
    film = await draft_of(cohort, "film")
    assert film is not None
    assert (film.name, film.version_key, film.imported) == ("Mine", "mine", False)


async def test_a_leaf_of_two_collections_has_the_newer_of_their_metadata(embedded: Instance) -> None:
    def book(identifier: str, version: int) -> Json:
        film = {"identifier": "film", "name": f"Film {version}", "mimeType": LEAF, "pkgVersion": version}
        return {"identifier": identifier, "name": identifier, "children": [film]}

    for identifier, version in (("one", 2), ("two", 3), ("three", 1)):
        await load_hierarchy(embedded.session(), book(identifier, version))
    film = await draft_of(embedded, "film")
    assert film is not None
    assert film.name == "Film 3"
    before = await everything(embedded)
    for identifier, version in (("one", 2), ("two", 3), ("three", 1)):
        assert not (await load_hierarchy(embedded.session(), book(identifier, version))).changed
    assert await everything(embedded) == before


class Dying:
    """Rows of a process that dies before its write number ``left``."""

    def __init__(self, rows: Rows, left: int) -> None:
        self._rows = rows
        self.left = left

    def __getattr__(self, name: str) -> Any:
        of_rows = getattr(self._rows, name)
        if name not in ("write", "insert_if_absent", "update_if", "write_together"):
            return of_rows

        async def call(*given: Any, **named: Any) -> Any:
            if not self.left:
                raise asyncio.CancelledError
            self.left -= 1
            return await of_rows(*given, **named)

        return call


async def test_a_load_that_died_is_completed_by_the_next(embedded: Instance) -> None:
    """Wherever it died: before its first write, its second, and so on to the last. Learners are recomputed too."""
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session(), EnrolmentCall("course", "batch", "ada"))
    await embedded.drain()
    grown = {**COURSE, "children": [*COURSE["children"], {"identifier": "e", "name": "E", "mimeType": LEAF}]}
    died = 0
    while True:
        dying = Dying(embedded.stores.rows, died)
        shared = replace(embedded.shared, stores=replace(embedded.stores, rows=dying))
        try:
            await load_hierarchy(
                replace(embedded.session(), shared=shared), {**grown, "name": f"Version {died}"}
            )
        except asyncio.CancelledError:
            loaded = await load_hierarchy(embedded.session(), {**grown, "name": f"Version {died}"})
        else:
            break
        assert loaded.changed
        version, tree = await live_tree(embedded, "course")
        assert (version, tree["name"]) == (loaded.version, f"Version {died}")
        draft = await draft_of(embedded, "course")
        assert draft is not None
        assert (draft.name, draft.status) == (f"Version {died}", DraftStatus.LIVE)
        assert (await tree_of_draft(embedded, "course"))["children"][2]["identifier"] == "e"
        assert not (await load_hierarchy(embedded.session(), {**grown, "name": f"Version {died}"})).changed
        died += 1 if is_thorough() else 4
    assert died > 8, "leaves, form, draft, claim, version, pointer, job, draft"


async def test_learners_are_recomputed_where_the_required_leaves_changed(course: Instance) -> None:
    await enrol(course.session(), EnrolmentCall("course", "batch", "ada"))
    await course.drain()
    grown = {**COURSE, "children": [*COURSE["children"], {"identifier": "e", "name": "E", "mimeType": LEAF}]}
    assert (await load_hierarchy(course.session(), grown)).drifted == 1
    assert (await load_hierarchy(course.session(), grown)).drifted == 0


async def test_the_search_index_follows_what_is_live_once(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []

    async def sync(shared: Shared, root: str) -> None:
        synced.append((root, (await shared.library.collection(root)).live_version))

    monkeypatch.setattr("ingest.publishing.loading.sync_search", sync)
    for document in (BOOK, BOOK, LATER):
        await load_hierarchy(embedded.session(), document)
    assert synced == [("book", 1), ("book", 2)]


@pytest.mark.parametrize("role", [Role.LEARNER, Role.MENTOR, Role.REPORTER])
async def test_only_those_who_create_may_load(embedded: Instance, role: Role) -> None:
    with pytest.raises(Forbidden):
        await load_hierarchy(embedded.session("ada", role), BOOK)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"result": {"content": {**BOOK, "children": [BOOK]}}}, "collection.children[0]"),
        ({**BOOK, "children": [{"identifier": "chapter"}]}, "collection.children[0].name"),
        ({**BOOK, "children": [BOOK["children"][0]] * 2}, "collection.children[1]"),
        ({"result": {}}, "result"),
    ],
    ids=["contains itself", "unit without a name", "twice in one parent", "answer without a tree"],
)
async def test_what_is_refused_leaves_nothing(embedded: Instance, document: Json, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await load_hierarchy(embedded.session(), document)
    assert refused.value.field == path
    assert not any((await everything(embedded)).values())


async def test_a_content_without_children_is_loaded_as_such(embedded: Instance) -> None:
    loaded = await load_hierarchy(
        embedded.session(), {"identifier": "film", "name": "Film", "mimeType": "video/mp4"}
    )
    assert (loaded.version, loaded.leaf_nodes_count) == (1, 0)
    draft = await draft_of(embedded, "film")
    assert draft is not None
    assert (draft.kind.value, draft.form_key, draft.status) == ("content", None, DraftStatus.LIVE)


@pytest.mark.parametrize(
    ("said", "status"), [("Draft", "Live"), ("Review", "Live"), ("Unlisted", "Unlisted"), (None, "Live")]
)
async def test_what_is_loaded_is_live_for_learners_whatever_it_was(
    embedded: Instance, said: str | None, status: str
) -> None:
    """As an answer of ``mode=edit`` says it. Only what is live is found in the catalogue."""
    document = {key: value for key, value in BOOK.items() if key != "status"} | (
        {"status": said} if said else {}
    )
    await load_hierarchy(embedded.session(), document)
    content = await embedded.shared.library.collection("book")
    draft = await draft_of(embedded, "book")
    assert draft is not None
    assert (content.status, draft.status.value) == (status, status)
    assert not (await load_hierarchy(embedded.session(), document)).changed


async def test_a_retired_collection_is_not_loaded(embedded: Instance) -> None:
    with pytest.raises(InvalidInput, match=r"collection\.status is Retired"):
        await load_hierarchy(embedded.session(), {**BOOK, "status": "Retired"})
    assert await draft_of(embedded, "book") is None
