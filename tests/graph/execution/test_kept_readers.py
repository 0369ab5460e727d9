"""What is compiled of a document serves all its requests, each by its own variables, session and bill."""

from typing import Any

import pytest

from graph.execution import object_readers, projection
from graph.execution.reads import Caller, NotPlain
from graph.schema import build_schema
from ingest.commands.enrolments import EnrolmentCall, enrol
from resolvers.nouns import Bill
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
    for _ in range(2):  # from the second request on the operation is compiled, too
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


async def test_a_long_list_of_a_document_without_variables_is_compiled_once(
    enrolled: Instance, compiled: list[Any]
) -> None:
    """What only the executor answers, `me` and `enrolments`, leaves the room to its members."""
    of = build_schema()
    fields = " ".join(f"s{number}: status" for number in range(30))
    text = f"{{ me {{ enrolments(first: 9) {{ edges {{ node {{ {fields} }} }} pageInfo {{ hasNextPage }} }} }} }}"
    for _ in range(2):
        await ask(enrolled.session("ann"), text, of=of)
    compiled.clear()
    answer = await ask(enrolled.session("bob"), text, of=of)
    assert answer["data"]["me"]["enrolments"]["edges"][0]["node"]["s29"] == "NOT_STARTED"
    assert not compiled


def test_members_of_a_list_are_not_tried_for_long_where_what_is_asked_is_not_at_hand() -> None:
    tried: list[int] = []

    def read(member: int, _caller: Caller) -> int:
        tried.append(member)
        if member < 5:
            raise NotPlain
        return member

    caller = Caller(None, Bill())
    refusing, mixed = projection._OfList(read), projection._OfList(read)
    for number in range(9):
        with pytest.raises(NotPlain):
            refusing(number, caller)
    assert tried == [0, 1, 2]
    with pytest.raises(NotPlain):
        mixed(1, caller)
    assert mixed(7, caller) == 7
    for _ in range(9):
        with pytest.raises(NotPlain):
            mixed(2, caller)
    assert mixed(8, caller) == 8


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
