"""Made-up documents and worlds, by which compiled answers are compared with those of graphql-core's own executor."""

from collections.abc import Callable, Iterable
from inspect import isawaitable
from random import Random
from typing import Any

import orjson
from graphql import DocumentNode, GraphQLSchema, parse, validate
from graphql.execution import execute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graph.execution.kept_readers import Readers
from graph.execution.projection import ProjectingExecutor
from tests.conftest import examples, is_thorough

DOCUMENTS, WORLDS = (100, 50) if is_thorough() else (12, 6)
"""Of an example: each document is answered in each world."""
PARTS = range(10 if is_thorough() else 1)
"""In the thorough profile each has two examples, which come to 100,000 pairs, in tests that are short enough each."""
TEXTS = ["", "a", "naïve ☃", '"quoted"\\', "x" * 300]
LARGE = 2**31
"""No Int of GraphQL: an error where it is shown, and null as far up as it must be."""

World = tuple[Any, Any]
"""The root of what is compiled, and the root that stands for the same to the plain executor."""


def seeds(test: Any) -> Any:
    """Gives the test a seed for each of its part's examples."""
    of_part = settings(
        max_examples=examples(10) // len(PARTS), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return of_part(given(seed=st.integers(0, 2**32))(test))


def asked_for(random: Random, name: str, of: str, selection: str, arguments: str = "") -> str:
    """One of the ways in which a document asks for a field of the type ``of``; mostly the plain one."""
    whole = f"{name}{arguments} {selection}"
    return random.choices(
        [
            whole,
            f"{name}Again: {whole}",
            f"{whole} {whole}",
            f"{name}{arguments} @include(if: $yes) {selection}",
            f"{name}{arguments} @skip(if: $yes) {selection}",
            f"... on {of} {{ {whole} }}",
            f"... @include(if: $yes) {{ {whole} }}",
        ],
        [20, 2, 1, 1, 1, 1, 1],
    )[0]


async def assert_alike(
    schema: GraphQLSchema,
    random: Random,
    document: Callable[[Random], str],
    world: Callable[[Random], World],
    context: Any = None,
) -> None:
    """Answers DOCUMENTS documents in each of WORLDS worlds, with both executors."""
    worlds = [world(random) for _ in range(WORLDS)]
    for _ in range(DOCUMENTS):
        text = document(random)
        asked = parse(text)
        if validate(schema, asked):  # such as two fields under one name
            continue
        compiling = executor_that_keeps(asked)

        async def answered(
            root: Any, executor: Any, yes: bool, asked: Any = asked
        ) -> tuple[bytes, list[str]]:
            result: Any = execute(
                schema, asked, root, context, variable_values={"yes": yes}, executor_class=executor
            )
            if isawaitable(result):
                result = await result
            return orjson.dumps(result.data), sorted(repr(error.formatted) for error in result.errors or ())

        for compiled, plain in worlds:
            yes = random.random() < 0.5
            assert await answered(compiled, compiling, yes) == await answered(
                plain, StrawberryGraphQLCoreExecutionContext, yes
            ), text


def executor_that_keeps(document: DocumentNode) -> type[ProjectingExecutor]:
    """One that keeps what it compiles of the document from request to request, as a process that serves does."""
    readers = Readers(document, most=100)

    class Keeping(ProjectingExecutor):
        @classmethod
        def readers_of(cls, document: DocumentNode) -> Readers | None:
            return readers

    return Keeping


def with_typename(random: Random, fields: Iterable[str]) -> Iterable[str]:
    """The fields, and now and then ``__typename`` among them."""
    for one in fields:
        yield one
        if random.random() < 0.1:
            yield random.choice(["__typename", "kind: __typename"])
