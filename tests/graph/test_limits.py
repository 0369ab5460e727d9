"""Documents that are too much, and the caches that spare parsing and validating the others."""

from typing import Any

import pytest
import strawberry.extensions.parser_cache as parser_cache
import strawberry.extensions.validation_cache as validation_cache
import strawberry.schema.schema as strawberry_schema
from graphql import get_introspection_query, parse, validate

from graph.schema import Limits, build_schema, schema
from tests.conftest import Instance
from tests.graph.conftest import ask, data, document

NARROW = build_schema(Limits(depth=4, aliases=2, tokens=60))


async def messages(instance: Instance, query: str) -> list[str]:
    answer = await ask(instance.session("ann"), query, of=NARROW)
    assert answer["data"] is None
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_REQUEST"}
    return [error["message"] for error in answer["errors"]]


async def test_a_document_that_is_too_deep(embedded: Instance) -> None:
    deep = "{ me { enrolments { edges { node { ...more } } } } } fragment more on Enrolment { collection { name } }"
    assert await messages(embedded, deep) == ["the operation is 6 fields deep; at most 4 are allowed"]


async def test_a_document_with_too_many_aliases(embedded: Instance) -> None:
    wide = "{ a: me { ...one } me { ...one } c: me { userId } } fragment one on Learner { x: userId }"
    assert await messages(embedded, wide) == ["the operation has 4 aliases; at most 2 are allowed"]


async def test_a_document_with_too_many_tokens(embedded: Instance) -> None:
    (message,) = await messages(embedded, f"{{ me {{ {'userId ' * 100} }} }}")
    assert "60 tokens" in message


async def test_fragments_within_fragments_are_measured_in_time(embedded: Instance) -> None:
    """Each doubles the one before; measured naively, this takes 2^100 steps."""
    layers = 100
    fragments = "".join(f"fragment f{n} on Node {{ ...f{n + 1} ...f{n + 1} }}" for n in range(layers))
    query = f'{{ node(id: "x") {{ ...f0 }} }} {fragments} fragment f{layers} on Node {{ a: id }}'
    answer = await ask(embedded.session("ann"), query)
    assert answer["errors"][0]["message"] == f"the operation has {2**layers} aliases; at most 50 are allowed"


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
    assert await messages(embedded, query)


async def test_tools_may_ask_for_the_whole_schema(embedded: Instance) -> None:
    query = get_introspection_query(specified_by_url=True, input_value_deprecation=True)
    assert (await data(embedded.session("ann"), query))["__schema"]["queryType"]["name"] == "Query"


async def test_a_document_is_parsed_and_validated_once(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"parsed": 0, "validated": 0}

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(parser_cache, "parse", counted("parsed", parse))
    monkeypatch.setattr(strawberry_schema, "parse", counted("parsed", parse))
    monkeypatch.setattr(strawberry_schema, "validate", counted("validated", validate))
    parser_cache._get_parse_cache.cache_clear()
    validation_cache._get_validate_cache.cache_clear()
    for user in ("ann", "bob", "cleo"):
        await ask(embedded.session(user), document("my_courses"), of=schema)
    assert counts == {"parsed": 1, "validated": 1}
    other = await ask(embedded.session("ann"), document("my_courses"), of=NARROW)
    assert other["errors"], "a schema with other limits is not served by the same entry"
