"""Questions about the schema: asked once, counted before they are answered, answered from memory."""

from typing import Any

import pytest
import strawberry.schema.schema as strawberry_schema
from graphql import OperationDefinitionNode, execute, get_introspection_query, parse

from graph.documents.introspection import Questions, TooMany
from graph.documents.limits import Limits
from graph.schema import build_schema, schema
from tests.conftest import Instance
from tests.graph.conftest import ask, data

WHOLE_SCHEMA = get_introspection_query(specified_by_url=True, input_value_deprecation=True)


def aliased(count: int, letter: str, field: str) -> str:
    return " ".join(f"{letter}{n}: {field}" for n in range(count))


async def refused(instance: Instance, query: str, **variables: Any) -> dict[str, Any]:
    answer = await ask(instance.session("ann"), query, **variables)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "DOCUMENT_TOO_LARGE"
    told: dict[str, Any] = error
    return told


@pytest.mark.parametrize(
    ("query", "name", "times"),
    [
        ("{ ALIASES }".replace("ALIASES", aliased(45, "a", "__schema { types { name } }")), "__schema", 45),
        ("{ __schema { types { name } } __schema { directives { name } } }", "__schema", 2),
        (
            "{ ...f ... on Query { ...f } } fragment f on Query { __schema { queryType { name } } }",
            "__schema",
            2,
        ),
        ('{ a: __type(name: "Group") { name } b: __type(name: "Learner") { name } }', "__type", 2),
    ],
)
async def test_the_schema_is_asked_for_once(embedded: Instance, query: str, name: str, times: int) -> None:
    error = await refused(embedded, query)
    assert error["message"] == f"the operation asks for {name} {times} times; once is allowed"
    assert error["extensions"] == {"code": "DOCUMENT_TOO_LARGE", "limit": name, "most": 1, "found": times}


async def test_one_type_and_the_schema_may_be_asked_for_together(embedded: Instance) -> None:
    query = 'query Q { __schema { queryType { name } } __type(name: "Group") { name } me { userId } }'
    found = await data(embedded.session("ann"), query)
    assert found == {
        "__schema": {"queryType": {"name": "Query"}},
        "__type": {"name": "Group"},
        "me": {"userId": "ann"},
    }


def values_in(answer: Any) -> int:
    """Fields, as the client sees them."""
    if isinstance(answer, dict):
        return sum(1 + values_in(value) for value in answer.values())
    return sum(map(values_in, answer)) if isinstance(answer, list) else 0


def questions(query: str) -> Questions:
    document = parse(query)
    (operation,) = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return Questions(document, operation)


@pytest.mark.parametrize(
    "query",
    [
        WHOLE_SCHEMA,
        get_introspection_query(descriptions=False),
        "{ __schema { types { fields(includeDeprecated: true) { type { ofType { fields { name } } } } } } }",
        'query ($name: String! = "Query") { __type(name: $name) { fields { args { name type { name } } } } }',
        '{ __type(name: "Node") { possibleTypes { interfaces { name } name } } }',
        '{ __type(name: "Nothing") { name } }',
    ],
)
def test_the_values_of_an_answer_about_the_schema_are_counted_exactly(query: str) -> None:
    result = execute(schema._schema, parse(query))
    assert not result.errors  # type: ignore[union-attr]
    answer: Any = result.data  # type: ignore[union-attr]
    expected = sum(map(values_in, answer.values()))
    questions(query).check(schema._schema, {}, expected)
    if expected:
        with pytest.raises(TooMany):
            questions(query).check(schema._schema, {}, expected - 1)


INNER = aliased(7, "b", "fields { name }")
LAYERS = " ".join(f"fragment f{n} on __Type {{ ...f{n + 1} ...f{n + 1} }}" for n in range(60))
CIRCLES = {
    "aliases": f"{{ __schema {{ types {{ {aliased(6, 'a', f'fields {{ type {{ {INNER} }} }}')} }} }} }}",
    "fragments": f"{{ __schema {{ types {{ ...f0 }} }} }} {LAYERS} fragment f60 on __Type {{ name }}",
    "a type by default": 'query ($t: String! = "Query") { __type(name: $t) { AGAIN } }'.replace(
        "AGAIN", aliased(20, "a", f"fields {{ type {{ ofType {{ {INNER} }} {INNER} }} }}")
    ),
}


WIDE: dict[str, Any] = dict.fromkeys(("most_tokens", "most_fields", "most_aliases"), 2**60)


@pytest.mark.parametrize("query", CIRCLES.values(), ids=list(CIRCLES))
async def test_an_answer_about_the_schema_has_an_end(embedded: Instance, query: str) -> None:
    answer = await ask(
        embedded.session("ann"),
        query,
        of=build_schema(Limits(**WIDE, most_schema_values=2_000)),
    )
    (error,) = answer["errors"]
    assert (
        error["message"]
        == "the answer would have more than 2,000 values of the schema: ask for less at a time"
    )
    assert error["extensions"] == {
        "code": "DOCUMENT_TOO_LARGE",
        "limit": "most_schema_values",
        "most": 2_000,
        "found": 2_001,
    }


async def test_what_tools_ask_for_is_answered_from_memory(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[object] = []

    def counted(*args: Any, **named: Any) -> Any:
        executed.append(args)
        return execute(*args, **named)

    monkeypatch.setattr(strawberry_schema, "execute", counted)
    fresh = build_schema()
    one_type = "query T($name: String!) { __type(name: $name) { name } }"

    async def asked(query: str, of_user: str = "ann", **variables: Any) -> Any:
        before = len(executed)
        answer = await ask(embedded.session(of_user), query, of=fresh, **variables)
        assert "errors" not in answer
        return answer["data"], len(executed) - before

    first, times = await asked(WHOLE_SCHEMA)
    assert (times, first["__schema"]["queryType"]["name"]) == (1, "Query")
    assert await asked(WHOLE_SCHEMA, "bob") == (first, 0)
    assert await asked(one_type, name="Group") == ({"__type": {"name": "Group"}}, 1)
    assert await asked(one_type, name="Learner") == ({"__type": {"name": "Learner"}}, 1)
    assert await asked(one_type, name="Group") == ({"__type": {"name": "Group"}}, 0)
    both = '{ __type(name: "Group") { name } me { userId } }'
    for user in ("ann", "bob"):
        assert await asked(both, user) == ({"__type": {"name": "Group"}, "me": {"userId": user}}, 1)
    alike = "{ __schema { queryType { name } } ... @include(if: false) { me { userId } } }"
    for _ in range(2):
        assert (await asked(alike))[1] == 1, "only what can't be anything else is kept"


async def test_answers_about_the_schema_are_kept_within_bytes(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these has some 350,000 bytes: there is room for two."""
    monkeypatch.setattr("graph.documents.known_documents.KEPT_ANSWERS", 1_000_000)
    fresh = build_schema()
    extension: Any = fresh.extensions[0]
    answers = extension()._documents.answers
    for number in range(4):
        await ask(embedded.session("ann"), f"{WHOLE_SCHEMA} # {number}", of=fresh)
    kept = sum(len(value) for answer in answers.values() for value in answer.values())
    assert len(answers) == 2
    assert kept == answers.currsize <= 1_000_000
