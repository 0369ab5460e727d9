"""How large a document may be: each limit at its edge, and what a client is told beyond it."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from graphql import get_introspection_query, parse
from hypothesis import given
from hypothesis import strategies as st

from graph.documents.limits import DEEPEST_NESTING, Limits, Size, measured
from graph.schema import build_schema
from rules.prices import BEYOND, Budget
from tests.conftest import LEAF, Instance
from tests.graph.conftest import application, ask, client_of, data

FRAGMENTS = "fragment one on Learner { x: userId ...two } fragment two on Learner { name @skip(if: false) }"


async def refusals(instance: Instance, query: str, **limits: Any) -> list[dict[str, Any]]:
    """The errors about a document that is too large; none where it is executed."""
    answer = await ask(instance.session("ann"), query, of=build_schema(Limits(**limits)))
    errors: list[dict[str, Any]] = answer.get("errors", [])
    for error in errors:
        assert error["extensions"]["code"] == "DOCUMENT_TOO_LARGE"
        assert answer["data"] is None
    return errors


@pytest.mark.parametrize(
    ("limit", "query", "size"),
    [
        ("longest_document", "{ me { userId } }", 17),
        ("most_tokens", "{ me { userId } }", 6),
        (
            "most_operations",
            "query A { me { userId } } query B { me { userId } } query C { me { userId } }",
            3,
        ),
        # me, then x and name, twice
        ("most_fields", f"{{ me {{ ...one ...one }} }} {FRAGMENTS}", 5),
        ("deepest", "{ me { ...page } } fragment page on Learner { groups { edges { cursor } } }", 4),
        # a, b, and x in each of them
        ("most_aliases", f"{{ a: me {{ ...one }} b: me {{ ...one }} }} {FRAGMENTS}", 4),
        (
            "most_root_fields",
            "{ me { userId } ...more } fragment more on Query { a: me { name } __typename }",
            3,
        ),
        # @include, @skip in each of the two, @skip at the spread
        (
            "most_directives",
            f"{{ me @include(if: true) {{ ...one ... on Learner {{ ...one @skip(if: false) }} }} }} {FRAGMENTS}",
            4,
        ),
    ],
)
async def test_a_document_at_its_limit_is_answered_and_one_beyond_is_told_by_how_much(
    embedded: Instance, limit: str, query: str, size: int
) -> None:
    assert await refusals(embedded, query, **{limit: size}) == []
    (error, *_others) = await refusals(embedded, query, **{limit: size - 1})
    assert error["extensions"] == {
        "code": "DOCUMENT_TOO_LARGE",
        "limit": limit,
        "most": size - 1,
        "found": size,
    }
    assert f"{size - 1}" in error["message"]


async def test_each_operation_is_measured_and_all_that_is_too_large_is_told(embedded: Instance) -> None:
    query = "query A { a: me { userId } } query B { a: me { b: userId name } c: me { name } }"
    errors = await refusals(embedded, query, most_aliases=2, most_root_fields=1)
    assert [(error["extensions"]["limit"], error["extensions"]["found"]) for error in errors] == [
        ("most_aliases", 3),
        ("most_root_fields", 2),
    ]
    assert errors[0]["locations"] == [{"line": 1, "column": 30}]


async def test_size_is_told_before_any_other_error(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for what the 400 unknown fields may have been meant to be."""

    def never(*_: object, **__: object) -> None:
        pytest.fail("a document that is too large is not validated")

    monkeypatch.setattr("graph.documents.validation.validate", never)
    unknown = " ".join(f"unknown{n}" for n in range(400))
    (error,) = await refusals(embedded, f"{{ me {{ {unknown} }} }}", most_fields=400)
    assert error["extensions"]["found"] == 401
    # F1: the schema under 45 aliases, also by a fragment.
    aliases = " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(45))
    for query in (
        f"{{ {aliases} }}",
        f"{{ {'...f ' * 45} }} fragment f on Query {{ __schema {{ types {{ name }} }} }}",
    ):
        (error,) = await refusals(embedded, query)
        assert (error["extensions"]["limit"], error["extensions"]["found"]) == ("__schema", 45)


NARROW = {
    "identifier": "narrow",
    "name": "Narrow",
    "children": [{"identifier": "a", "name": "A", "mimeType": LEAF}],
}


async def test_a_document_as_deep_as_any_may_be_is_answered(embedded: Instance) -> None:
    """Depth only warns, and so does the budget: still each answer can be written, and a deeper document is refused."""
    await embedded.publish(NARROW)
    embedded.shared = replace(embedded.shared, budget=Budget(enforced=False))
    schema = build_schema(Limits(warn_only=frozenset({"documents"})))

    def nested(levels: int) -> str:
        """Lists of objects within each other, which an answer has twice as many levels of as the document."""
        pairs = (levels - 2) // 2
        below = "children { collection { " * pairs
        return f'{{ collection(identifier: "narrow") {{ {below} identifier {"} } " * pairs} }} }}'

    async with client_of(application(embedded.shared, schema)) as client:
        answer = await client.post("/graphql", json={"query": nested(DEEPEST_NESTING)})
        assert (answer.status_code, "errors" in answer.json()) == (200, False), answer.text[:300]
        assert answer.text.count('"children"') == (DEEPEST_NESTING - 2) // 2
        refused = await client.post("/graphql", json={"query": nested(DEEPEST_NESTING + 2)})
    (error,) = refused.json()["errors"]
    assert error["extensions"]["limit"] == "nesting"


async def test_what_costs_more_than_can_be_counted_is_refused_like_all_else(embedded: Instance) -> None:
    """Pages of pages of pages: the number would be too large for JSON."""
    pairs = "groups(first: 200) { edges { node { members(first: 200) { edges { node { learner { "
    query = f"{{ me {{ {pairs * 13} userId {'}' * (13 * 7)} }} }}"
    schema = build_schema(Limits(warn_only=frozenset({"documents"})))
    async with client_of(application(embedded.shared, schema)) as client:
        refused = await client.post("/graphql", json={"query": query}, headers={"X-Cost": "full"})
    assert refused.status_code == 200, refused.text
    (error,) = refused.json()["errors"]
    assert error["extensions"]["code"] == "TOO_EXPENSIVE"
    assert error["extensions"]["cost"]["partitions"] == error["extensions"]["cost"]["points"] == BEYOND


async def test_comments_and_lines_are_as_many_as_tokens(embedded: Instance) -> None:
    for query in ("#\n#\n#\n#\n#\n#\n#\n{ me { userId } }", "{ me {\n\n\n\n\n\n userId } }"):
        (error,) = await refusals(embedded, query, most_tokens=6)
        assert error["extensions"]["limit"] == "most_tokens"
    assert await refusals(embedded, "{ me {\n\n\n\n\n userId } }", most_tokens=6) == []


async def test_fragments_within_fragments_are_measured_in_time(embedded: Instance) -> None:
    """Each doubles the one before; measured naively, this takes 2^97 steps."""
    layers = 97
    fragments = "".join(f"fragment f{n} on Node {{ ...f{n + 1} ...f{n + 1} }}" for n in range(layers))
    query = f'{{ node(id: "x") {{ ...f0 }} }} {fragments} fragment f{layers} on Node {{ a: id }}'
    errors = await refusals(embedded, query)
    assert {error["extensions"]["limit"]: error["extensions"]["found"] for error in errors} == {
        "most_fields": BEYOND,
        "most_aliases": BEYOND,
    }


async def test_selections_within_each_other_have_an_end(embedded: Instance) -> None:
    """Fragments in a chain need no field, so that none of them is deep."""

    def chain(length: int) -> str:
        links = "".join(f"fragment f{n} on Query {{ ...f{n + 1} }} " for n in range(length))
        return f"{{ ...f0 }} {links} fragment f{length} on Query {{ __typename }}"

    wide = {"most_tokens": 20_000}
    assert await refusals(embedded, chain(98), **wide) == []  # the operation, 98 links, the last
    for length in (99, 1_500):
        (error,) = await refusals(embedded, chain(length), longest_document=10**6, **wide)
        assert error["extensions"]["limit"] == "nesting"
        assert error["extensions"]["found"] == length + 2


@pytest.mark.parametrize(
    "query",
    [
        "{ me { ...a } } fragment a on Learner { ...b } fragment b on Learner { ...a }",
        "{ me { ...nowhere } }",
    ],
)
async def test_fragments_that_lead_nowhere_are_left_to_the_other_rules(
    embedded: Instance, query: str
) -> None:
    answer = await ask(embedded.session("ann"), query)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_REQUEST"}


async def test_tools_may_ask_for_the_whole_schema(embedded: Instance) -> None:
    query = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert (await data(embedded.session("ann"), query))["__schema"]["queryType"]["name"] == "Query"


async def test_limits_that_only_warn_are_told_to_the_operator(
    embedded: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    schema = build_schema(Limits(most_fields=1, most_aliases=0, warn_only=frozenset({"documents"})))
    extension: Any = schema.extensions[0]
    with caplog.at_level(logging.WARNING):
        for user in ("ann", "bob"):
            answer = await ask(embedded.session(user), "{ a: me { userId } }", of=schema)
            assert answer == {"data": {"a": {"userId": user}}}
    told = [
        record.getMessage() for record in caplog.records if record.name == "graph.documents.known_documents"
    ]
    assert len(told) == 2, "once for each limit, not for each request"
    assert "the operation has 2 fields" in told[0]
    assert "the operation has 1 aliases" in told[1]
    assert extension()._documents.let_through == {"most_fields": 2, "most_aliases": 2}


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{ me { userId name } }", "most_tokens"),
        ("{ a: __schema { queryType { name } } b: __schema { queryType { name } } }", "most_tokens"),
        (
            "{ a: __typename b: __typename ...f ...f } fragment f on Query { __schema { __typename } }",
            "__schema",
        ),
    ],
)
async def test_what_protects_the_process_never_only_warns(embedded: Instance, query: str, limit: str) -> None:
    most = 6 if limit == "most_tokens" else 100
    (error,) = await refusals(
        embedded, query, most_tokens=most, most_aliases=0, warn_only=frozenset({"documents"})
    )
    assert error["extensions"]["limit"] == limit


# --- the size of fragments


def test_the_size_of_an_operation_is_that_of_its_fields_and_fragments() -> None:
    query = """query Q($a: Int @x) @x {
        a: me { ...one @x groups { edges { ... @x { c: cursor } } } }
        ...top
        __schema { types { name } }
    }
    fragment top on Query @x { b: me { userId } ... on Query { __type(name: "A") { ...of } } }
    fragment of on __Type { name ofType { name } }
    fragment one on Learner { x: userId name @x }"""
    ((_, size),) = measured(parse(query))
    assert size == Size(
        # a x name groups edges c, b userId, __type name ofType name, __schema types name
        fields=6 + 2 + 4 + 3,
        deepest=4,  # me, groups, edges, cursor
        aliases=4,
        root_fields=4,
        directives=6,
        schema=1,
        type=1,
        nesting=6,  # the operation's, top, its inline fragment, __type, of, ofType
    )


NAMES = st.sampled_from(["a", "b", "__schema", "__type"])
DIRECTIVES = st.sampled_from(["", "@x", "@x @y"])


@st.composite
def selections(draw: st.DrawFn, of: tuple[int, ...], depth: int = 0) -> list[Any]:
    """Fields, inline fragments and uses of these fragments, by number."""
    kinds = ["field", "inline", "spread"] if of else ["field", "inline"]
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(kinds)) if depth < 3 else "leaf"
        directives = draw(DIRECTIVES)
        match kind:
            case "spread":
                found.append((kind, draw(st.sampled_from(of)), directives, None))
            case "inline":
                found.append((kind, "...", directives, draw(selections(of, depth + 1))))
            case _:
                name = draw(st.sampled_from(["", "z: "])) + draw(NAMES)
                below = draw(selections(of, depth + 1)) if kind == "field" and draw(st.booleans()) else None
                found.append(("field", name, directives, below))
    return found


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[Any], list[tuple[str, list[Any]]]]:
    """An operation, and fragments with their directives, of which each uses those behind it."""
    count = draw(st.integers(0, 4))
    numbers = tuple(range(count))
    fragments = [(draw(DIRECTIVES), draw(selections(numbers[n + 1 :]))) for n in numbers]
    return draw(selections(numbers)), fragments


def written(of: list[Any], fragments: list[tuple[str, list[Any]]] | None = None) -> str:
    """The selections as text; with ``fragments``, those stand wherever they are used."""
    texts = []
    for kind, what, directives, below in of:
        if kind != "spread":
            texts.append(f"{what} {directives} {'' if below is None else written(below, fragments)}")
        elif fragments is None:
            texts.append(f"...f{what} {directives}")
        else:
            own, inner = fragments[what]
            texts.append(f"... {directives} {own} {written(inner, fragments)}")
    return f"{{ {' '.join(texts)} }}"


@given(documents())
def test_a_fragment_counts_as_what_is_in_it_wherever_it_is_used(document: Any) -> None:
    operation, fragments = document
    definitions = [f"fragment f{n} on A {own} {written(of)}" for n, (own, of) in enumerate(fragments)]
    ((_, short),) = measured(parse(" ".join([written(operation), *definitions])))
    ((_, long),) = measured(parse(written(operation, fragments)))
    assert short == long
