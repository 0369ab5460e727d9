"""Each caller asks for everything, and is answered or refused as the documents say of them (tests/access_matrix.py)."""

from typing import Any

import orjson
import pytest
from graphql import FieldNode, GraphQLObjectType, TypeInfo, TypeInfoVisitor, Visitor, parse, visit

from graph.access import Access, access_of
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.session import Session
from rules.viewers import Role, Viewer
from tests.access_matrix import CALLERS, MAY, make_school
from tests.conftest import Instance
from tests.graph.access_entries import CHANGES, CORE, SUBGRAPH, Entry, reads
from tests.graph.conftest import ask, code, data

REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN"}
ROOTS = ("Query", "Mutation")
BATCH = {"collectionId": "course", "contextId": "batch"}


@pytest.fixture
async def school(embedded: Instance) -> Instance:
    await make_school(embedded)
    return embedded


async def ids(school: Instance) -> tuple[str, str]:
    """Of an exhaust that cleo asked for, and of a publication."""
    asked = await data(
        school.session("cleo"),
        """mutation { requestExhaust(input: { kind: PROGRESS, collectionId: "course", contextId: "batch", format: CSV }) {
            exhaust { exhaustId } } }""",
    )
    published = await data(
        school.session("zoe", Role.CREATOR),
        """mutation { publish(input: { identifier: "book" }) { publication { publicationId } } }""",
    )
    return asked["requestExhaust"]["exhaust"]["exhaustId"], published["publish"]["publication"][
        "publicationId"
    ]


async def outcome(school: Instance, entry: Entry, caller: str) -> tuple[bool, list[str]]:
    """Whether the caller was refused nothing, and the codes of all that went wrong."""
    answer = await ask(Session(CALLERS[caller], school.shared), entry.asked_by(caller), of=SUBGRAPH)
    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    for payload in (answer["data"] or {}).values() if entry.asked_by(caller).startswith("mutation") else ():
        codes += [error["code"] for error in payload["errors"]]
    admitted = REFUSALS.isdisjoint(codes)
    if entry.keeps is not None:
        assert (entry.keeps in orjson.dumps(answer["data"]).decode()) == admitted
    return admitted, codes


async def differences(school: Instance, entries: list[Entry]) -> list[str]:
    """What is otherwise than the documents say. Who is refused asks first, while there is something to refuse."""
    found = []
    for entry in entries:
        answered = []
        for caller in sorted(CALLERS, key=lambda caller: caller in entry.may):
            admitted, codes = await outcome(school, entry, caller)
            answered += [] if codes else [caller]
            if admitted != (caller in entry.may):
                found.append(f"{entry.name}: {caller} {'is answered' if admitted else 'is refused'} {codes}")
            elif not admitted and set(codes) != {"UNAUTHENTICATED" if caller == "anonymous" else "FORBIDDEN"}:
                found.append(f"{entry.name}: {caller} gets {codes}")
        if not answered:
            found.append(f"{entry.name}: nobody gets an answer without an error")
    return found


async def test_who_may_read_what(school: Instance) -> None:
    assert await differences(school, reads(*await ids(school))) == []


async def test_who_may_change_what(school: Instance) -> None:
    assert await differences(school, CHANGES) == []


async def test_the_matrix_finds_what_nobody_checks(school: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a check that asks for a token alone, each document that is not for all who have one is told."""
    entries = reads(*await ids(school))
    monkeypatch.setattr(Viewer, "check", lambda viewer, *_, **__: viewer.known())
    found = {told.partition(":")[0] for told in await differences(school, entries)}
    by_learner_alone = {"activityMetrics by two attributes"}  # rules of its own, after the role
    assert found == {entry.name for entry in entries if entry.may != MAY[Access.SIGNED_IN]} - by_learner_alone


async def test_a_cursor_opens_no_list_of_another(school: Instance) -> None:
    page = "query ($after: String) { me { enrolments(after: $after, first: 1) { edges { cursor node { userId } } } } }"
    (edge,) = (await data(school.session("ann"), page))["me"]["enrolments"]["edges"]
    await enrol(school.session("bob"), EnrolmentCall("course", "other"))
    shown = (await data(school.session("bob"), page, after=edge["cursor"]))["me"]["enrolments"]["edges"]
    assert [one["node"]["userId"] for one in shown] == ["bob"]
    asked = (
        'query ($after: String) { learner(userId: "ann") { enrolments(after: $after) { edges { cursor } } } }'
    )
    assert await code(school.session("bob"), asked, after=edge["cursor"]) == ("FORBIDDEN", "userId")


class _Asked(Visitor):
    """The fields that a document asks for."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.names: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.info.get_parent_type()
        assert parent is not None
        self.names.add(f"{parent.name}.{node.name.value}")


def asked_by(entry: Entry) -> set[str]:
    found: set[str] = set()
    for document in (entry.document, *entry.by_caller.values()):
        info = TypeInfo(CORE)
        asked = _Asked(info)
        visit(parse(document), TypeInfoVisitor(info, asked))
        found |= asked.names
    return found


def test_every_field_has_a_place_in_the_matrix() -> None:
    """A new root field, and one that not everybody who has the object may ask for, is asked for by who is let in as it
    declares."""
    entries = [(entry.may, asked_by(entry)) for entry in (*reads("e", "p"), *CHANGES)]
    left_out = []
    for kind in CORE.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                access, asked = access_of(kind, field), f"{kind.name}.{name}"
                if access is None or access is Access.WITH_OBJECT:
                    continue
                if not any(may == MAY[access] and asked in names for may, names in entries):
                    left_out.append(f"{asked} for {access.name}")
    assert left_out == []


def test_every_kind_of_access_is_in_the_matrix() -> None:
    assert set(Access) - MAY.keys() == {Access.WITH_OBJECT}
