"""Validation takes no longer than some usual documents take, and says what is wrong in few words."""

from typing import Any

import pytest
from graphql import parse, specified_rules, validate

from graph.documents.limits import Limits, excesses
from graph.documents.validation import COMPARISONS, LONGEST_MESSAGE, MOST_PROBLEMS, SUGGESTED, problems
from graph.execution.upstream import core_schema
from graph.schema import schema
from tests.conftest import Instance
from tests.graph.conftest import application, ask, client_of

CORE = core_schema(schema)


def messages(query: str) -> list[str]:
    return [error.message for error in problems(CORE, parse(query))]


def equal(times: int) -> str:
    return f"{{ me {{ {'userId ' * times} }} }}"


async def test_equal_fields_are_compared_as_far_as_that_takes_no_time(embedded: Instance) -> None:
    """F4: 498 took 1.3 seconds. 141 fields have 141 × 140 / 2 pairs, of two steps each: 19,740 of 20,000."""
    assert COMPARISONS == 20_000
    assert (await ask(embedded.session("ann"), equal(141)))["data"] == {"me": {"userId": "ann"}}
    for times in (142, 498):
        answer = await ask(embedded.session("ann"), equal(times))
        (error,) = answer["errors"]
        assert error["extensions"] == {
            "code": "DOCUMENT_TOO_LARGE",
            "limit": "comparisons",
            "most": 20_000,
            "found": 20_001,
        }


def test_fragments_that_ask_for_the_same_are_compared_as_clients_have_them() -> None:
    """Forty components of a page, each with a fragment that begins with the same fields."""
    spreads = " ".join(f"...Part{n}" for n in range(40))
    parts = " ".join(
        f"fragment Part{n} on Learner {{ userId name groups(first: 5) {{ totalCount }} p{n}: name }}"
        for n in range(40)
    )
    query = f"{{ me {{ {spreads} }} }} {parts}"
    assert list(excesses(parse(query), Limits(most_tokens=10_000))) == []
    assert messages(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "{ me { userId: name userId } }",
        "{ me { a: groups(first: 1) { totalCount } a: groups(first: 2) { totalCount } } }",
        "query ($a: Int) { me { ...f } } fragment f on Learner { userId }",
        "{ nothing } fragment f on Learner { userId }",
        '{ collection(identifier: "a", mode: [EDIT]) { name } }',
        "query A { me { userId } } query A { me { userId } }",
        "{ me { userId @include(if: 1) } }",
        "{ me }",
    ],
)
def test_what_is_wrong_is_what_the_rules_of_graphql_say(query: str) -> None:
    found = problems(CORE, parse(query))
    expected = validate(CORE, parse(query), specified_rules)
    assert found
    for one, other in zip(found, expected, strict=True):
        assert one.message.endswith(other.message)  # before it may stand the field
        assert one.locations == other.locations


def test_an_input_that_is_one_of_several_may_not_have_a_variable_that_is_not_there() -> None:
    query = (
        "{ activityMetrics(query: {collectionId: 1, metrics: [], comparison: {contextIds: $x}}) { rows } }"
    )
    assert any("Variable '$x' is not defined" in message for message in messages(query))


def test_the_first_errors_say_what_may_have_been_meant() -> None:
    """To compare the names of the schema takes 10 ms for each."""
    told = messages("{ me { " + "userIdd " * 5 + "} }")
    assert [message.count("Did you mean 'userId'") for message in told] == [1] * SUGGESTED + [0] * (
        5 - SUGGESTED
    )


def test_a_document_tells_its_first_errors_and_that_there_are_others() -> None:
    at_most = problems(CORE, parse("{ me { " + "wrong " * MOST_PROBLEMS + "} }"))
    assert len(at_most) == MOST_PROBLEMS
    more = problems(CORE, parse("{ me { " + "wrong " * (MOST_PROBLEMS + 1) + "} }"))
    assert [error.message for error in more[:-1]] == [error.message for error in at_most]
    assert more[-1].message == "there are more than 10 errors: correct these first"
    assert more[-1].extensions == {"code": "MORE_ERRORS"}


@pytest.mark.parametrize(
    ("query", "begins", "ends"),
    [
        (
            '{ me { groups(first: "' + "a" * 9_000 + 'z") { totalCount } } }',
            "first: Int cannot represent",
            'z"',
        ),
        ("{ me { " + "a" * 9_000 + " } }", "Cannot query field 'aaa", "aaa' on type 'Learner'."),
        # The values of an enum are listed behind what is wrong.
        (
            '{ collection(identifier: "a", mode: ' + "E" * 9_000 + ") { name } }",
            "mode: Value 'EEE",
            "EEE' does not exist in 'HierarchyMode' enum.",
        ),
    ],
)
def test_long_names_and_values_are_told_in_short(query: str, begins: str, ends: str) -> None:
    (message,) = messages(query)
    assert len(message) == LONGEST_MESSAGE + 3
    assert message.startswith(begins)
    assert " … " in message
    assert message.endswith(ends)


def test_operations_that_share_many_fragments_are_refused_as_too_large() -> None:
    """Only with limits that an operator has raised: 300 operations that use 200 variables of a fragment."""
    operations = " ".join(f"query Q{n}($a: Int) {{ me {{ ...f }} }}" for n in range(300))
    uses = " ".join(f"a{n}: groups(first: $a) {{ totalCount }}" for n in range(200))
    found: list[Any] = problems(CORE, parse(f"{operations} fragment f on Learner {{ {uses} }}"))
    assert [error.original_error.details["limit"] for error in found] == ["fragment_uses"]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "[[1e400]]", "{b: [1, 1e999]}"])
async def test_a_number_that_nothing_can_hold_is_refused_where_it_stands(
    published: Instance, number: str
) -> None:
    """In JSON it would be null from then on."""
    view = 'contentId: "a", collectionId: "course", contextId: "batch", progress: 5'
    asked = "mutation { updateView(input: {%s, progressDetails: {a: %s}}) { errors { code } } }"
    async with client_of(application(published.shared)) as client:
        answer = await client.post("/graphql", json={"query": asked % (view, number)})
    (error,) = answer.json()["errors"]
    assert "a double can hold" in error["message"]
    assert "data" not in answer.json(), "nothing was executed"
    assert error["locations"] == [{"line": 1, "column": asked.index("{a: %s}") + len(view) - 1}]
