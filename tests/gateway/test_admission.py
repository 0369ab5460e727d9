"""Slots for requests: who gets one, who waits, who is refused, and what health checks say meanwhile."""

import asyncio
import contextlib
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from gateway.http.admission import LONGEST_LAG, QUIET, Admission, caller_of
from gateway.http.limits import MOST_LARGE, SMALL, LargestBody
from gateway.identity import make_token
from gateway.settings import Settings
from rules.errors import Overloaded
from rules.viewers import Role, Viewer
from stores import turns
from tests.gateway.conftest import Serving, http_scope

Outcome = asyncio.Task[None]
PATIENCE = 60.0
"""Seconds that a request waits for a slot, so that nobody is refused for a machine that is slow."""


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Requests that keep their slot until they are let go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.inside: list[str] = []
        self._ends: dict[str, list[asyncio.Event]] = {}
        self.tasks: list[Outcome] = []

    async def come(self, caller: str, times: int = 1) -> list[Outcome]:
        new = [asyncio.create_task(self._stay(caller)) for _ in range(times)]
        self.tasks += new
        await settle()
        return new

    async def end(self, caller: str) -> None:
        self._ends[caller].pop(0).set()
        await settle()

    async def _stay(self, caller: str) -> None:
        async with self.admission.slot(caller):
            self.inside.append(caller)
            end = asyncio.Event()
            self._ends.setdefault(caller, []).append(end)
            try:
                await end.wait()
            finally:
                self.inside.remove(caller)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_slot_that_becomes_free_goes_to_who_has_the_fewest() -> None:
    """4 slots: one caller has 3 (three quarters), another 1. Then 2 more of the first wait, and 1 of a third."""
    crowd = Crowd(Admission(4, wait=PATIENCE))
    await crowd.come("a", 5)
    assert sorted(crowd.inside) == ["a"] * 3, "the last slot is for others"
    await crowd.come("b")
    await crowd.come("c")
    assert sorted(crowd.inside) == ["a", "a", "a", "b"]
    await crowd.end("a")
    assert sorted(crowd.inside) == ["a", "a", "b", "c"]
    await crowd.end("b")
    assert sorted(crowd.inside) == ["a", "a", "a", "c"]
    assert (crowd.admission.under_way, crowd.admission.waiting) == (4, 1)
    await crowd.close()
    assert (crowd.admission.under_way, crowd.admission.waiting) == (0, 0)


async def test_if_nobody_else_can_wait_the_greediest_gives_way() -> None:
    """4 slots and 4 that wait. The burst of 9 takes 3 slots and 4 that wait; 2 of it are refused, and a third for who comes
    then."""
    crowd = Crowd(Admission(4, wait=PATIENCE))
    burst = await crowd.come("a", 9)
    assert [isinstance(one.exception(), Overloaded) for one in burst if one.done()] == [True] * 2
    await crowd.come("b")
    (other,) = await crowd.come("b")
    assert not other.done(), "it waits in the slot of one of the burst"
    assert sum(one.done() for one in burst) == 3
    assert crowd.admission.waiting == 4
    assert crowd.admission.refused == 3
    await crowd.close()


async def test_who_waits_too_long_is_refused_and_told_when_to_come_again() -> None:
    crowd = Crowd(Admission(1, wait=0.05))
    await crowd.come("a")
    with pytest.raises(Overloaded) as refused:
        async with asyncio.timeout(60), crowd.admission.slot("b"):
            pass
    assert refused.value.retry_after == 1
    assert crowd.admission.waiting == 0
    await crowd.close()


async def test_who_leaves_while_it_waits_takes_no_slot() -> None:
    crowd = Crowd(Admission(1, wait=PATIENCE))
    await crowd.come("a")
    (gone,) = await crowd.come("b")
    gone.cancel()
    await crowd.end("a")  # frees the slot in the same round in which the other leaves
    await settle()
    assert (crowd.admission.under_way, crowd.admission.waiting) == (0, 0)
    await crowd.come("c")
    assert crowd.inside == ["c"]
    await crowd.close()


async def test_a_late_loop_takes_slots_away_and_gives_them_back() -> None:
    """100 slots; a fifth goes with each late look: 80, 64, 51; 12 are left at last. Each other look gives 2 back."""
    admission = Admission(100, wait=PATIENCE)
    seen = []
    for _ in range(3):
        admission.look(LONGEST_LAG + 0.1)
        seen.append(admission.slots)
    assert seen == [80, 64, 51]
    for _ in range(20):
        admission.look(1.0)
    assert admission.slots == 12
    admission.look(0.0)
    assert admission.slots == 14
    for _ in range(50):
        admission.look(0.0)
    assert admission.slots == 100


async def test_slots_that_come_back_go_to_who_waits() -> None:
    admission = Admission(4, wait=PATIENCE)
    for _ in range(20):
        admission.look(1.0)
    crowd = Crowd(admission)
    await crowd.come("a")
    await crowd.come("b")
    assert crowd.inside == ["a"]
    for _ in range(20):
        admission.look(0.0)
    await settle()
    assert crowd.inside == ["a", "b"]
    await crowd.close()


async def test_refusals_that_go_on_make_the_process_unready_and_quiet_makes_it_ready() -> None:
    now = 1000.0
    admission = Admission(1, wait=PATIENCE, unready_after=3, clock=lambda: now)
    crowd = Crowd(admission)
    await crowd.come("a")
    await crowd.come("b")  # waits

    def overloaded() -> bool:
        return admission.is_overloaded

    for second in range(4):
        now = 1000.0 + second
        await crowd.come(f"other {second}")
        assert overloaded() == (second == 3)
    now += QUIET - 0.1
    assert overloaded()
    now += 0.2
    assert not overloaded()
    await crowd.come("yet another")
    assert not overloaded(), "it counts from anew"
    await crowd.close()


async def test_one_caller_beyond_its_share_does_not_make_the_process_unready() -> None:
    now = 1000.0
    admission = Admission(4, wait=PATIENCE, unready_after=1, clock=lambda: now)
    crowd = Crowd(admission)
    for second in range(5):
        now = 1000.0 + second
        await crowd.come("a", 10)
        assert not admission.is_overloaded
    assert admission.refused > 20
    await crowd.close()


async def test_a_request_begins_in_a_turn_of_the_loop_that_has_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each works for as long as a turn may take before it waits for anything, as one with a large body does. Whoever comes between
    two of them waits for one."""
    monkeypatch.setattr(turns, "AT_ONCE", 0.001)
    admission, order = Admission(), list[str]()

    async def work(name: str) -> None:
        async with admission.slot(name):
            order.append(name)
            began = time.thread_time()
            while time.thread_time() - began < 0.002:
                pass

    async def pass_by() -> None:
        order.append("a probe")

    asking = [asyncio.create_task(work(name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    probe = asyncio.create_task(pass_by())
    await asyncio.gather(*asking, probe)
    assert order == ["one", "a probe", "two"]


async def test_who_leaves_before_its_turn_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 0.0)
    admission = Admission()

    async def enter() -> None:
        async with admission.slot("anybody"):
            pass

    turns.over()  # begins the turn, which has no time
    asking = asyncio.create_task(enter())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert admission.under_way == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "end", "leave", "late", "look"]), st.integers(0, 3)), max_size=60
    )
)
def test_slots_are_never_more_than_there_are_and_none_is_lost(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        admission = Admission(4, wait=60)
        crowd = Crowd(admission)
        for step, number in steps:
            caller = f"caller {number}"
            before = admission.under_way
            match step:
                case "come":
                    await crowd.come(caller)
                case "end" if caller in crowd.inside:
                    await crowd.end(caller)
                case "leave" if crowd.tasks:
                    crowd.tasks[number % len(crowd.tasks)].cancel()
                    await settle()
                case "late" | "look":
                    admission.look(1.0 if step == "late" else 0.0)
                    await settle()
            assert admission.under_way == len(crowd.inside)
            assert admission.under_way <= max(admission.slots, before)
            assert admission.waiting <= 4
            assert admission.waiting == 0 or admission.under_way >= 1
        await crowd.close()
        assert (admission.under_way, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_a_caller_is_the_user_of_the_token_or_the_address() -> None:
    request = Request({**http_scope("GET", "/"), "client": ("192.0.2.1", 1)})
    assert caller_of(request, Viewer("ada")) == "user ada"
    assert caller_of(request, Viewer()) == "address 192.0.2.1"


@pytest.fixture
def full(settings: Settings) -> Settings:
    return settings.model_copy(update={"most_at_once": 1, "unready_after": 0.1})


def headers(settings: Settings, user: str, role: Role = Role.LEARNER) -> dict[str, str]:
    token = make_token(settings, user, [role], timedelta(hours=1))
    return {"Authorization": f"Bearer {token}"}


async def test_refusals_have_each_endpoints_shape_and_retry_after(full: Settings, serving: Serving) -> None:
    """One slot, which is taken, and one that waits."""
    async with serving(full) as client:
        app: Any = client.app  # type: ignore[attr-defined]
        crowd = Crowd(app.state.admission)
        await crowd.come("a")
        await crowd.come("b")
        ada = headers(full, "ada")
        refused = {
            "graphql": await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=ada),
            "envelope": await client.get("/v1/group/read/g", headers=ada),
            "plain": await client.get("/metrics/funnel/c", headers=headers(full, "rita", Role.REPORTER)),
            "summary": await client.get("/learners/ada/summary.json", headers=ada),
        }
        assert {answer.status_code for answer in refused.values()} == {503}
        assert {answer.headers["Retry-After"] for answer in refused.values()} == {"1"}
        told = {name: answer.json() for name, answer in refused.items()}
        assert told["graphql"]["errors"][0]["extensions"]["code"] == "OVERLOADED"
        assert "data" not in told["graphql"]
        assert told["envelope"]["params"]["err"] == "OVERLOADED"
        assert told["envelope"]["responseCode"] == "SERVER_ERROR"
        assert told["plain"]["error"]["code"] == told["summary"]["error"]["code"] == "OVERLOADED"
        assert (await client.get("/health/live")).status_code == 200
        await crowd.close()
        assert (await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=ada)).json() == {
            "data": {"me": {"userId": "ada"}}
        }


async def test_ready_is_503_while_requests_are_refused_and_live_is_200(
    full: Settings, serving: Serving
) -> None:
    async with serving(full) as client:
        app: Any = client.app  # type: ignore[attr-defined]
        crowd = Crowd(app.state.admission)
        await crowd.come("a")
        await crowd.come("b")
        assert (await client.get("/health/ready")).status_code == 200
        for number in range(3):
            with contextlib.suppress(Overloaded):
                await crowd.admission.take(f"other {number}")
            await asyncio.sleep(0.07)
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "overloaded")
        assert (await client.get("/health/live")).status_code == 200
        await crowd.close()


async def test_a_body_that_does_not_come_holds_no_slot(full: Settings, serving: Serving) -> None:
    """The only slot is free while the body of another request is awaited."""
    awaited, comes = asyncio.Event(), asyncio.Event()

    async def late_body() -> Any:
        yield b'{"query": '
        awaited.set()
        await comes.wait()
        yield b'"{ me { userId } }"}'

    async with serving(full) as client:
        app: Any = client.app  # type: ignore[attr-defined]
        ada = headers(full, "ada")
        json_type = {"Content-Type": "application/json"}
        late = asyncio.create_task(client.post("/graphql", content=late_body(), headers={**ada, **json_type}))
        await awaited.wait()
        await settle()
        other = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=ada)
        assert other.status_code == 200
        assert app.state.admission.under_way == 0
        comes.set()
        assert (await late).json() == other.json()


@pytest.mark.parametrize(("borne", "slots"), [(LONGEST_LAG, range(81)), (3600.0, range(100, 101))])
async def test_the_loop_is_looked_at_while_the_application_runs(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch, borne: float, slots: range
) -> None:
    """The loop is held for 0.5 s: the next look takes a fifth of the slots, unless so much is borne. A machine that is slow holds
    it longer."""
    monkeypatch.setattr("gateway.http.admission.LONGEST_LAG", borne)
    looks: list[int] = []
    look = Admission.look

    def noted(admission: Admission, lag: float) -> None:
        look(admission, lag)
        looks.append(admission.slots)

    monkeypatch.setattr(Admission, "look", noted)
    async with serving(settings):
        while not looks:
            await asyncio.sleep(0.01)
        time.sleep(0.5)  # noqa: ASYNC251 - what a fault would do
        before = len(looks)
        while len(looks) == before:
            await asyncio.sleep(0.01)
        assert looks[before] in slots


async def test_large_bodies_that_are_here_at_once_are_bounded_together() -> None:
    """Bodies of 128 KB at most, of which 64 KB count: 128 of them are 64 largest ones. One more of these is refused, and a small
    one never is. When one is gone there is room again."""
    most = 2 * SMALL
    go, refusals, inside = asyncio.Event(), 0, 0

    async def hold(scope: Scope, receive: Receive, _send: Send) -> None:
        nonlocal inside, refusals
        try:
            await Request(scope, receive).body()
        except Overloaded:
            refusals += 1
            return
        inside += 1
        await go.wait()

    limited = LargestBody(hold, most)

    async def come(size: int) -> asyncio.Task[None]:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"b" * size, "more_body": False}

        async def send(_message: Message) -> None: ...

        task = asyncio.create_task(limited.answer(http_scope("POST", "/"), receive, send))
        await settle()
        return task

    tasks = [await come(most) for _ in range(2 * MOST_LARGE)]
    assert (inside, refusals) == (2 * MOST_LARGE, 0)
    await come(most)
    assert (inside, refusals) == (2 * MOST_LARGE, 1)
    tasks.append(await come(SMALL))
    assert (inside, refusals) == (2 * MOST_LARGE + 1, 1)
    tasks[0].cancel()
    await settle()
    tasks.append(await come(most))
    assert (inside, refusals) == (2 * MOST_LARGE + 2, 1)
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
