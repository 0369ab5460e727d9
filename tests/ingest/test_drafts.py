"""Contents as their authors make, change and retire them."""

import asyncio
import re
from contextlib import suppress

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.drafts import NewContent, create_content, retire_content, update_content
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.hierarchy_edits import add_children
from ingest.commands.views import end_view, start_view
from loaders.drafts import drafts_by_id
from loaders.session import Session
from resolvers.progress import own_progress
from rules.contents import ContentKind
from rules.drafts import DraftStatus
from rules.errors import Conflict, EnrolmentClosed, Forbidden, InvalidInput, NotFound
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.viewers import Role
from rules.views import ViewChange
from tests.conftest import COURSE, LEAF, NOW, Instance
from tests.ingest.drafting import author, children, stored, tree_of, write_leaves
from tests.ingest.interruptions import Interruption

BOOK = NewContent("Book", COLLECTION_MIME_TYPE, "book", {"subject": ["Maths"], "x": {"y": 1}})


async def test_a_content_is_created_once_and_read_back(cohort: Instance) -> None:
    session = author(cohort.shared)
    made = await create_content(session, BOOK)
    assert (made.identifier, made.name, made.kind, made.status) == (
        *("book", "Book", ContentKind.COLLECTION, DraftStatus.DRAFT),
    )
    assert list(made.metadata.items()) == [
        *(
            ("identifier", "book"),
            ("name", "Book"),
            ("mimeType", COLLECTION_MIME_TYPE),
            ("subject", ["Maths"]),
        ),
        *(("x", {"y": 1}), ("visibility", "Default")),
    ]
    assert (made.created_by, made.created_on) == ("ada", NOW)
    assert await create_content(author(cohort.shared, "eve"), BOOK) == made
    with pytest.raises(InvalidInput, match="book exists and is different"):
        await create_content(session, NewContent("Other", COLLECTION_MIME_TYPE, "book"))


async def test_ids_are_generated_as_the_platform_s(embedded: Instance) -> None:
    session = author(embedded.shared)
    made = [await create_content(session, NewContent("C", LEAF)) for _ in range(3)]
    assert len({draft.identifier for draft in made}) == 3
    assert all(re.fullmatch(r"do_\d{22}", draft.identifier) for draft in made)


async def test_what_is_published_keeps_its_id(embedded: Instance) -> None:
    await embedded.publish()
    for identifier in ("course", "unit-1", "a"):
        with pytest.raises(InvalidInput, match="exists and is different"):
            await create_content(author(embedded.shared), NewContent("C", LEAF, identifier))


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewContent(" ", LEAF), "name"),
        (NewContent("C", " "), "mimeType"),
        (NewContent("C", LEAF, " "), "identifier"),
        (NewContent("C", LEAF, None, {"name": "D"}), "name"),
        (NewContent("C", LEAF, None, {"status": "Live"}), "status"),
        (NewContent("C", LEAF, None, {"appIcon": "x"}), "appIcon"),
    ],
)
async def test_a_content_that_can_t_be_right_is_refused(
    embedded: Instance, new: NewContent, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await create_content(author(embedded.shared), new)
    assert refused.value.field == field


async def test_a_change_names_the_draft_that_it_was_made_from(cohort: Instance) -> None:
    session = author(cohort.shared)
    made = await create_content(session, BOOK)
    changed = await update_content(session, "book", made.version_key, {"name": "Renamed", "x": None})
    assert (changed.name, "x" in changed.metadata) == ("Renamed", False)
    assert changed.version_key != made.version_key
    with pytest.raises(Conflict) as refused:
        await update_content(session, "book", made.version_key, {"name": "Lost"})
    assert refused.value.field == "versionKey"
    assert (await update_content(session, "book", None, {"board": "CBSE"})).metadata["name"] == "Renamed"
    (read,) = await drafts_by_id(cohort.stores.rows, ["book"])
    assert read is not None
    assert (read.name, read.metadata["board"], read.updated_by) == ("Renamed", "CBSE", "ada")


async def test_a_change_of_nothing_writes_nothing(embedded: Instance) -> None:
    made = await create_content(author(embedded.shared), BOOK)
    assert await update_content(author(embedded.shared), "book", None, {"name": "Book"}) == made


async def test_who_changes_what_is_live_makes_a_draft_of_it(cohort: Instance) -> None:
    """What was loaded as published gets its draft at the first edit; its unchanged one is Live."""
    await cohort.publish()
    session = author(cohort.shared)
    assert (await tree_of(cohort))["status"] == "Live"
    changed = await update_content(session, "course", None, {"description": "New"})
    assert (changed.status, changed.name) == (DraftStatus.DRAFT, "Course")
    draft, form = await stored(cohort)
    assert draft == changed
    assert form.children == {"course": ["unit-1", "unit-2"], "unit-1": ["a", "b"], "unit-2": ["b", "c", "d"]}


async def test_leaves_of_a_loaded_tree_have_drafts_of_their_own(cohort: Instance) -> None:
    await cohort.publish({"identifier": "a", "name": "Published alone", "mimeType": LEAF})
    await cohort.publish()
    await update_content(author(cohort.shared), "course", None, {"description": "New"})
    a, b, d = await drafts_by_id(cohort.stores.rows, ["a", "b", "d"])
    assert a is None  # it is a content of its own, whose metadata is what it was published with
    assert b is not None
    assert d is not None
    assert [(one.name, one.status, one.imported) for one in (b, d)] == [
        *(("B", DraftStatus.LIVE, True), ("D", DraftStatus.LIVE, True)),
    ]
    edited = await update_content(author(cohort.shared), "b", None, {"name": "B2"})
    assert (edited.status, edited.imported) == (DraftStatus.DRAFT, False)
    leaves = {
        node["identifier"]: node["name"]
        for unit in (await tree_of(cohort))["children"]
        for node in unit["children"]
    }
    assert leaves == {"a": "Published alone", "b": "B2", "c": "C", "d": "D"}


async def test_a_leaf_that_nobody_edited_yet_is_changed_by_itself(embedded: Instance) -> None:
    await embedded.publish()
    changed = await update_content(author(embedded.shared), "b", None, {"name": "B2"})
    assert (changed.kind, changed.name, changed.mime_type) == (ContentKind.CONTENT, "B2", LEAF)


async def test_units_are_edited_with_their_collection(embedded: Instance) -> None:
    await embedded.publish()
    with pytest.raises(NotFound, match="unit-1 is a unit of course"):
        await update_content(author(embedded.shared), "unit-1", None, {"name": "U"})
    with pytest.raises(NotFound, match="there is no content nothing"):
        await update_content(author(embedded.shared), "nothing", None, {"name": "U"})


async def test_two_first_edits_at_once_make_one_draft(cohort: Instance) -> None:
    await cohort.publish()
    async with cohort.opened() as other:
        await asyncio.gather(
            update_content(author(cohort.shared), "course", None, {"one": 1}),
            update_content(author(other), "course", None, {"other": 2}),
        )
    draft, form = await stored(cohort)
    assert (draft.metadata["one"], draft.metadata["other"]) == (1, 2)
    assert set(form.units) == {"unit-1", "unit-2"}


async def test_learners_and_mentors_edit_nothing(embedded: Instance) -> None:
    await embedded.publish()
    for role in (Role.LEARNER, Role.MENTOR, Role.REPORTER):
        session = embedded.session("leo", role)
        for call in (
            lambda session=session: create_content(session, BOOK),
            lambda session=session: update_content(session, "course", None, {}),
            lambda session=session: retire_content(session, "course"),
            lambda session=session: add_children(session, "course", "unit-1", ["c"]),
        ):
            with pytest.raises(Forbidden):
                await call()
    assert await drafts_by_id(embedded.stores.rows, ["course", "book"]) == [None, None]


async def test_a_draft_follows_what_is_loaded_unless_an_author_has_changed_it(cohort: Instance) -> None:
    """Else the next publish of the draft would bring the former version back."""
    await cohort.publish()
    before = (await tree_of(cohort))["name"]
    leaf = {"identifier": "b", "name": "B2", "mimeType": LEAF, "x": 1}
    new = {"identifier": "unit-3", "name": "Unit 3", "children": [leaf]}
    await cohort.publish({"identifier": "course", "name": "Course 2", "children": [new]})
    tree = await tree_of(cohort)
    assert (before, tree["name"], tree["status"]) == ("Course", "Course 2", "Live")
    assert [node["identifier"] for node in tree["children"]] == ["unit-3"]
    assert tree["children"][0]["children"][0] == leaf | {"parent": "unit-3", "index": 1, "depth": 2}
    await update_content(author(cohort.shared), "course", None, {"name": "Mine"})
    await cohort.publish()
    assert (await tree_of(cohort))["name"] == "Mine"
    assert await children(cohort) == {"course": ["unit-3"], "unit-3": ["b"]}


# --- retiring


async def test_a_retired_collection_takes_no_learners_and_keeps_what_they_have(cohort: Instance) -> None:
    await cohort.publish()
    await cohort.batch()
    learner = cohort.session("leo")
    await enrol(learner, EnrolmentCall("course", "batch"))
    call = ViewCall("a", "course", "batch")
    await start_view(learner, call)
    await end_view(learner, call, ViewChange(NOW))
    for _ in range(2):  # and again, as after a lost answer
        assert (await retire_content(author(cohort.shared), "course")).status is DraftStatus.RETIRED
    async with cohort.opened() as other:
        for shared in (cohort.shared, other):
            with pytest.raises(EnrolmentClosed, match="course is retired"):
                await enrol(Session(cohort.session("zoe").viewer, shared), EnrolmentCall("course", "batch"))
            content = await shared.library.collection("course")
            assert content.status == "Retired"
            own = await own_progress(Session(learner.viewer, shared), content, "batch")
            assert own.of("course").completed_count == 1  # of a, b, c
    with pytest.raises(InvalidInput, match="course is retired"):
        await update_content(author(cohort.shared), "course", None, {"name": "N"})
    with pytest.raises(InvalidInput, match="course is retired"):
        await add_children(author(cohort.shared), "course", "unit-1", ["c"])


async def test_a_retired_leaf_is_added_nowhere(cohort: Instance) -> None:
    await cohort.publish()
    session = author(cohort.shared)
    await create_content(session, BOOK)
    await write_leaves(cohort.shared, "e")
    await retire_content(session, "b")
    await retire_content(session, "e")
    with pytest.raises(InvalidInput, match="children which are not available: b, e, zzz") as refused:
        await add_children(session, "book", "book", ["b", "e", "c", "zzz"])
    assert refused.value.field == "children"
    assert await children(cohort, "book") == {}


async def test_a_retired_leaf_leaves_the_tree_that_authors_see(cohort: Instance) -> None:
    await cohort.publish()
    await retire_content(author(cohort.shared), "b")
    shown = [
        [node["identifier"] for node in unit["children"]] for unit in (await tree_of(cohort))["children"]
    ]
    assert shown == [["a"], ["c", "d"]]
    assert (await children(cohort))["unit-1"] == ["a", "b"]  # until somebody takes it out


@pytest.mark.parametrize("step", range(4))
async def test_a_retirement_that_dies_is_finished_by_the_same_call(embedded: Instance, step: int) -> None:
    await embedded.publish(COURSE)
    await update_content(author(embedded.shared), "course", None, {"board": "CBSE"})

    async def die() -> None:
        raise asyncio.CancelledError

    dying = Interruption(step, die).of(embedded.shared)
    with suppress(asyncio.CancelledError):
        await retire_content(author(dying), "course")
    await retire_content(author(embedded.shared), "course")
    async with embedded.opened() as other:
        assert (await other.library.collection("course")).status == "Retired"
    draft, _ = await stored(embedded)
    assert draft.status is DraftStatus.RETIRED
