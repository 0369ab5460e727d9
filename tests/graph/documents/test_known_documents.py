"""Documents are looked at once, and those that are known take no more memory than they may."""

import gc
import tracemalloc
from typing import Any

import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse, validate

import graph.execution.upstream_documents
from graph.documents.known_documents import Documents, document_id
from graph.documents.limits import Limits
from graph.execution.upstream import core_schema
from graph.schema import build_schema, schema
from tests.conftest import Instance
from tests.graph.conftest import ask, document

CORE = core_schema(schema)


def numbered(number: int) -> str:
    return "{ me { userId name } } # " + str(number)


async def test_a_document_is_parsed_and_validated_once(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"parsed": 0, "validated": 0}

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(graph.execution.upstream_documents, "parse", counted("parsed", parse))
    monkeypatch.setattr("graph.documents.validation.validate", counted("validated", validate))
    fresh = build_schema()
    for user in ("ann", "bob", "cleo"):
        await ask(embedded.session(user), document("my_courses"), of=fresh)
    assert counts == {"parsed": 1, "validated": 1}
    wrong = "{ me { nothing } }"
    first, again = [await ask(embedded.session("ann"), wrong, of=fresh) for _ in range(2)]
    assert first == again
    assert counts == {"parsed": 2, "validated": 2}, "a document that is refused is known, too"
    narrow = await ask(embedded.session("ann"), document("my_courses"), of=build_schema(Limits(deepest=2)))
    assert narrow["errors"], "a schema with other limits does not know what this one knows"


async def test_a_request_without_a_document_is_told_so(embedded: Instance) -> None:
    answer = await ask(embedded.session("ann"), "{ me { userId ")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert answer["errors"][0]["message"].startswith("Syntax Error")


def test_the_latest_documents_are_known() -> None:
    (size,) = {Documents(Limits()).known(CORE, numbered(number)).bytes for number in range(10, 20)}
    documents = Documents(Limits(document_cache=3 * size))
    first = documents.known(CORE, numbered(10))
    for number in (11, 12):
        documents.known(CORE, numbered(number))
    assert documents.known(CORE, numbered(10)) is first
    documents.known(CORE, numbered(13))  # takes the room of 11, which nobody asked for since
    assert documents.known(CORE, numbered(10)) is first
    assert documents.bytes == 3 * size
    assert first.id == document_id(numbered(10))


def test_a_document_that_is_larger_than_the_cache_is_not_kept() -> None:
    documents = Documents(Limits(document_cache=0))
    assert documents.known(CORE, numbered(1)) is not documents.known(CORE, numbered(1))
    assert documents.bytes == 0


def long_text(number: int) -> str:
    return '{ collection(identifier: "' + "é" * 30_000 + f'{number}") {{ name }} }}'


def many_fields(number: int) -> str:
    return "{ me { " + "userId " * 100 + " ".join(f"a{number}: name" for _ in range(40)) + " } }"


def many_errors(number: int) -> str:
    return "{ me { " + " ".join(f"wrong{'x' * 900}{number}{n}" for n in range(30)) + " } }"


@pytest.mark.parametrize(
    "of",
    [numbered, long_text, many_fields, many_errors, lambda n: f"{get_introspection_query()} # {n}"],
    ids=["small", "a long text", "many fields", "many errors", "of a tool"],
)
def test_known_documents_take_no_more_memory_than_they_may(of: Any) -> None:
    """Measured, with what is worked out when they are executed; the rest of the room is for what Python holds beside."""
    room = 400_000
    documents = Documents(Limits(document_cache=room))
    seen = documents.known(CORE, of(0)).bytes  # what is made once for a process, too
    gc.collect()
    number = 0
    tracemalloc.start()
    try:
        while seen < 2 * room:
            number += 1
            known = documents.known(CORE, of(number))
            seen += known.bytes
            for operation in known.document.definitions if not known.errors else ():
                if isinstance(operation, OperationDefinitionNode):
                    known.cost(operation)
                    known.questions(operation)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert documents.bytes <= room
    assert taken < 1.2 * room
