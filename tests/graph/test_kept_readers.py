"""What is compiled of a document serves all its requests, each by its own variables, session and bill."""

from typing import Any

import pytest

from graph import object_readers, projection
from graph.schema import build_schema
from ingest.commands.enrolments import EnrolmentCall, enrol
from tests.conftest import Instance
from tests.graph.conftest import ask, document

LEARNERS = """query Learners($first: Int!, $names: Boolean!) {
    me { enrolments(first: $first) { edges { node { collectionId collection { name @include(if: $names) } } } } } }"""


@pytest.fixture
async def enrolled(published: Instance) -> Instance:
    for user in ("ann", "bob"):
        await enrol(published.session(user), EnrolmentCall("course", "batch", user))
    return published


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The fields of each object whose reader was compiled."""
    found: list[Any] = []
    make = object_readers.object_reader

    def noted(classes: Any, fields: Any, whole: Any) -> Any:
        found.append([*fields])
        return make(classes, fields, whole)

    monkeypatch.setattr(projection, "object_reader", noted)
    return found


async def test_a_document_is_compiled_once_for_all_who_send_it(
    enrolled: Instance, compiled: list[Any]
) -> None:
    of = build_schema()
    first = await ask(enrolled.session("ann"), document("my_courses"), of=of, first=1)
    assert compiled, "a list has something to compile"
    compiled.clear()
    others = [
        await ask(enrolled.session(user), document("my_courses"), of=of, first=number)
        for number, user in enumerate(("ann", "bob"), 1)
    ]
    assert not compiled
    assert others[0] == first
    assert others[1]["data"]["me"]["userId"] == "bob"


async def test_what_variables_decide_is_compiled_for_each_request(
    enrolled: Instance, compiled: list[Any]
) -> None:
    of = build_schema()
    shown = []
    for names in (True, False, True):
        answer = await ask(enrolled.session("ann"), LEARNERS, of=of, first=5, names=names)
        shown.append([{*edge["node"]["collection"]} for edge in answer["data"]["me"]["enrolments"]["edges"]])
    assert shown[0] == shown[2]
    assert {"name"} in shown[0]
    assert shown[1] == [set()] * len(shown[1])


async def test_each_request_is_billed_for_its_own_answer(enrolled: Instance) -> None:
    of = build_schema()
    bills = []
    for user in ("ann", "bob"):
        session = enrolled.session(user)
        await ask(session, document("my_courses"), of=of, first=5)
        bills.append(session.bill.bytes)
    alone = enrolled.session("bob")
    await ask(alone, document("my_courses"), of=build_schema(), first=5)
    assert bills == [alone.bill.bytes] * 2
    assert alone.bill.bytes > 0
