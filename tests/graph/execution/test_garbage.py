"""A request leaves nothing to the garbage collector: what it has made is freed with its answer.

Else the collector would free all of many requests at once, and hold the loop for hundreds of milliseconds.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import pytest

from gateway.http import disconnect
from gateway.http.disconnect import while_connected
from rules.errors import NotFound
from stores import turns
from tests.conftest import Instance
from tests.graph.conftest import BATCH, application, record, view_to_end

LIST = """{ me { userId name enrolments { edges { node { id status completedOn completionPercentage enrolledOn
  collection { name leafNodes { edges { node { name viewerView { status progress } } } } }
  contentStatus { contentId status } } } pageInfo { endCursor } } } }"""
REFUSED_PARTS = """{ collections(identifiers: ["course", "none", "no other"]) { name leafNodes { edges { node { name } } } }
  collection(identifier: "none") { leafNodes { edges { node { name } } } } learner(userId: "bob") { name } }"""
MANY_ERRORS = " ".join(f'a{n}: collection(identifier: "no {n}") {{ name }}' for n in range(30))
MANY_LISTS = " ".join(f"a{n}: enrolments(first: 200) {{ edges {{ node {{ id }} }} }}" for n in range(20))
REFUSED: dict[str, Any] = {
    "a field that there is not": {"query": "{ me { nothing } }"},
    "variables of another type": {
        "query": "query ($n: Int!) { me { enrolments(first: $n) { totalCount } } }",
        "variables": {"n": "x"},
    },
    "what costs too much": {"query": f"{{ me {{ {MANY_LISTS} }} }}"},
}
ANSWERED: dict[str, Any] = {
    "a list beyond its limit": {"query": "{ me { enrolments(first: 100000) { edges { node { id } } } } }"},
    "a list with all below it": {"query": LIST},
    "parts that are refused": {"query": REFUSED_PARTS},
    "many errors": {"query": f"{{ {MANY_ERRORS} }}"},
    "a command": {
        "query": "mutation ($i: StartViewInput!) { startView(input: $i) { view { status } errors { code } } }",
        "variables": {"i": {"contentId": "a", "collectionId": "course", "contextId": "batch"}},
    },
    "a command that is refused": {
        "query": "mutation ($i: StartViewInput!) { startView(input: $i) { view { status } errors { code } } }",
        "variables": {"i": {"contentId": "none", "collectionId": "course", "contextId": "batch"}},
    },
    "a query of the schema": {"query": "{ __schema { types { name fields { name } } } }"},
}


Sent = Callable[[object], Awaitable[Any]]


@pytest.fixture
async def sent(published: Instance) -> Sent:
    """Sends Ann's request as a server does, and gives the answer. With ``leaves`` the client is gone as soon as it has sent it."""
    await record(published.session("ann"), "Enrol", **BATCH)
    await view_to_end(published, "ann", "a", **BATCH)
    app = application(published.shared)

    async def send_request(asked: object, *, leaves: bool = False) -> Any:
        messages = [{"type": "http.request", "body": orjson.dumps(asked), "more_body": False}]
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            if not messages and not leaves:
                await asyncio.Event().wait()
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            parts.append(message.get("body", b""))

        headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer ann")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "query_string": b"",
            "headers": headers,
        }
        await app(scope, receive, send)
        await asyncio.sleep(0)
        return orjson.loads(b"".join(parts) or b"null")

    return send_request


@contextmanager
def kept_from_the_collector() -> Iterator[Callable[[], Counter[str]]]:
    """Gives what only the collector could free of what was made since, by type."""
    gc.collect()
    gc.freeze()  # what was there before is not looked through each time
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)

        def found() -> Counter[str]:
            gc.collect()
            return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)

        yield found
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("what", [*ANSWERED, *REFUSED])
async def test_an_answer_leaves_no_garbage(sent: Sent, what: str) -> None:
    asked = (ANSWERED | REFUSED)[what]
    for _ in range(2):
        answer = await sent(asked)
        assert ("data" in answer) is (what in ANSWERED), answer
    with kept_from_the_collector() as garbage:
        await sent(asked)
        assert not garbage()


async def test_answers_that_come_about_in_turns_leave_no_garbage(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 0.0)
    monkeypatch.setattr(disconnect, "LOOKED_AFTER", 0.0)
    for asked in [*ANSWERED.values()] * 2:  # checking a document that is new leaves some
        await sent(asked)
    with kept_from_the_collector() as garbage:
        await asyncio.gather(*map(sent, [*ANSWERED.values()] * 2))
        assert not garbage()


@pytest.mark.parametrize("at_once", [0.0, 1.0])
async def test_a_client_that_leaves_leaves_no_garbage(
    sent: Any, monkeypatch: pytest.MonkeyPatch, at_once: float
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", at_once)
    monkeypatch.setattr(disconnect, "LOOKED_AFTER", 0.0)
    asked = ANSWERED["a list with all below it"]
    await sent(asked)
    with kept_from_the_collector() as garbage:
        assert await sent(asked, leaves=True) is None
        assert not garbage()


async def test_a_call_that_is_refused_leaves_no_garbage() -> None:
    """Of REST, which raises what GraphQL tells in its answer."""

    async def connected() -> Any:
        await asyncio.Event().wait()

    async def refused() -> None:
        await asyncio.sleep(0)
        raise NotFound("there is none")

    with kept_from_the_collector() as garbage:
        with suppress(NotFound):
            await while_connected(connected, refused())
        await asyncio.sleep(0)  # the loop knows the tasks until then
        assert not garbage()
