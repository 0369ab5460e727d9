"""How much each caller may spend: who is refused, who is not, and what they are told (docs/api.md, how much a caller may spend)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Receive

from gateway.http.admission import address_of
from gateway.http.rates import CREDIT, Account, Charge, Rates, points_sent
from gateway.identity import make_token
from gateway.settings import Settings, load_settings
from gateway.wiring import rates_of
from rules.errors import RateLimited, StoreUnavailable
from rules.rates import TOLERANCE, Bucket, Rate
from rules.viewers import Role, Viewer
from stores.cache import Cache, Spending
from stores.cutoffs import Cutoff
from tests.gateway.conftest import KEY, Serving, http_scope
from tests.gateway.test_metrics import grown, own

ME = {"query": "{ me { userId } }"}
READ = "/course/v1/content/state/read"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class CacheByClock:
    """The buckets of all processes by a test's clock; away where it says so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.buckets: dict[str, Bucket] = {}
        self.is_away = False
        self.calls = 0

    async def spend(self, spendings: Sequence[Spending]) -> list[int] | None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.is_away:
            return None
        left = []
        for key, points, per_second, most in spendings:
            bucket = self.buckets.setdefault(key, Bucket(Rate("", "", most)))
            assert bucket._per_second == per_second
            bucket.take(points, self._clock())
            left.append(int((bucket.left(self._clock()) + TOLERANCE) // 1))
        return left


def process(clock: Clock, cache: CacheByClock, points: int = 600, **others: Any) -> Rates:
    """``points`` a minute for users, half of it for an address, none for services."""
    return Rates(
        Rate("user", "rate_points", points),
        Rate("service", "rate_points_service", 0),
        Rate("anonymous", "rate_points_anonymous", points // 2),
        cache=lambda: cast("Cache", cache),
        clock=clock,
        **others,
    )


def request(host: str = "192.0.2.1", **headers: str) -> HTTPConnection:
    return HTTPConnection({**http_scope("POST", "/graphql", **headers), "client": (host, 1)})


def begun(rates: Rates, user: str | None = "ada", host: str = "192.0.2.1") -> Charge:
    charge = rates.begin(Viewer(user, frozenset({Role.LEARNER}) if user else frozenset()), request(host))
    assert charge is not None
    return charge


def spent(rates: Rates, points: int, user: str | None = "ada") -> None:
    """A request that costs what it was thought to."""
    charge = begun(rates, user)
    charge.expect(points)
    charge.close(points)


def left(charge: Charge) -> int:
    return int(dict(charge.headers())[b"ratelimit"].split(b"r=")[1].split(b";")[0])


def test_a_caller_has_its_points_and_another_has_its_own() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    spent(rates, 590)
    with pytest.raises(RateLimited) as refused:
        spent(rates, 11)
    # The body has cost 1: 9 are left, 2 lack at 10 a second.
    assert refused.value.details == {"limit": "rate_points", "most": 600, "retryAfter": 1}
    assert "11 points are needed, and you may spend 600 a minute" in refused.value.message
    spent(rates, 600, "bob")
    spent(rates, 300, None)


def test_a_request_costs_what_it_really_costs_and_what_was_sent() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    charge = begun(rates)
    assert left(charge) == 599
    charge.expect(500)
    assert left(charge) == 100
    charge.close(20)
    assert left(charge) == 580
    charge = begun(rates)
    charge.expect(10)
    charge.close(400)
    assert left(charge) == 180
    large = rates.begin(Viewer("ada"), request(content_length="50999"))
    assert large is not None
    large.expect(3)
    large.close(3)
    assert left(large) == 130, "50 whole thousands of bytes were sent"


def test_a_head_that_is_larger_than_any_client_sends_costs_as_a_body_does() -> None:
    usual = request(authorization="x" * 2_000, cookie="x" * 4_000)
    assert points_sent(usual) == 1
    # 60,000 bytes and a few of names and path, of which 8,192 cost nothing: 51 points. And 20 for a body.
    assert points_sent(request(accept="a," * 30_000)) == 51
    address = request(accept="a," * 30_000, content_length="20000")
    assert points_sent(address) == 71
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    unknown = rates.begin_unknown(address)
    assert unknown is not None
    assert int(dict(unknown.headers())[b"ratelimit"].split(b"r=")[1].split(b";")[0]) == 300 - 71


def test_what_is_refused_costs_only_what_was_sent() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    refused = begun(rates)
    refused.close(0)
    assert left(refused) == 599
    for _ in range(599):
        begun(rates)
    with pytest.raises(RateLimited):
        begun(rates)


def test_who_waits_as_long_as_told_gets_what_it_asked_for() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    spent(rates, 600)
    with pytest.raises(RateLimited) as refused:
        begun(rates).expect(347)
    # Refused as it began, where the message is about a single point.
    assert refused.value.retry_after == 1
    clock.now += 1
    with pytest.raises(RateLimited) as refused:
        begun(rates).expect(347)
    # 10 came in a second, of which the body has taken 1: 338 lack.
    assert refused.value.retry_after == 34
    clock.now += 34
    spent(rates, 347)


def test_a_request_larger_than_a_minutes_points_needs_all_of_them() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    spent(rates, 1_000)
    with pytest.raises(RateLimited) as refused:
        begun(rates)
    # 400 of debt and 1.
    assert refused.value.retry_after == 41
    clock.now += 100
    spent(rates, 1_000)


def test_services_are_let_through_unless_the_settings_say_otherwise() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    assert rates.begin(Viewer("app", frozenset({Role.SERVICE})), request()) is None
    settings = load_settings(jwt_key=KEY, rate_points_service=60)
    service = rates_of(settings, lambda: cast("Cache", None)).begin(
        Viewer("app", frozenset({Role.SERVICE})), request()
    )
    assert service is not None
    assert dict(service.headers())[b"ratelimit-policy"] == b'"service";q=60;qu="points";w=60'


def test_an_address_is_one_caller_and_of_ipv6_its_network_is() -> None:
    def asks(host: str) -> str:
        return address_of(request(host))

    assert asks("192.0.2.1") != asks("192.0.2.2")
    assert asks("::ffff:192.0.2.1") == asks("192.0.2.1")
    assert asks("2001:db8:1:2::1") == asks("2001:db8:1:2:ffff::9")
    assert asks("2001:db8:1:2::1") != asks("2001:db8:1:3::1")
    assert asks("fe80::1%eth0") == asks("fe80::2")
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    begun(rates, None, "2001:db8:1:2::1").expect(300)
    with pytest.raises(RateLimited) as refused:
        begun(rates, None, "2001:db8:1:2::2")
    assert "this address may spend 300 a minute" in refused.value.message


async def test_processes_go_by_what_all_of_them_have_let_through() -> None:
    clock = Clock()
    cache = CacheByClock(clock)
    one, other = process(clock, cache), process(clock, cache)
    spent(one, 400)
    await one.settle()
    spent(other, 100)  # it does not know of the others yet
    await other.settle()
    with pytest.raises(RateLimited) as refused:
        spent(other, 150)
    # 100 are left of 600 and the body takes 1; 51 lack.
    assert refused.value.retry_after == 6
    await other.settle()
    clock.now += 6
    await one.settle()
    spent(other, 150)


async def test_what_is_given_back_is_told_to_the_other_processes() -> None:
    clock = Clock()
    cache = CacheByClock(clock)
    one, other = process(clock, cache), process(clock, cache)
    charge = begun(one)
    charge.expect(600)
    await one.settle()
    charge.close(100)
    await one.settle()
    begun(other)
    await other.settle()
    assert left(begun(other)) == 498


async def test_what_is_taken_while_the_others_are_told_is_not_forgotten() -> None:
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    spent(rates, 100)
    settling = asyncio.create_task(rates.settle())
    await asyncio.sleep(0)
    spent(rates, 50)
    await settling
    assert left(begun(rates)) == 449
    await rates.settle()
    assert left(begun(rates)) == 448


async def test_while_the_cache_is_away_each_process_holds_alone() -> None:
    clock = Clock()
    cache = CacheByClock(clock)
    rates = process(clock, cache)
    cache.is_away = True
    for _ in range(6):
        spent(rates, 100)
        await rates.settle()
    with pytest.raises(RateLimited):
        begun(rates)

    def not_open() -> Cache:
        raise StoreUnavailable("not yet")

    rates._cache = not_open
    clock.now += 10
    spent(rates, 100)
    await rates.settle()
    with pytest.raises(RateLimited):
        begun(rates)


async def test_others_are_told_soon_and_at_once_if_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon is an hour first, so that it does not come meanwhile, and then a moment."""
    monkeypatch.setattr("gateway.http.rates.TICK", 3600)
    clock = Clock()
    cache = CacheByClock(clock)
    rates = process(clock, cache)
    async with rates.settling():
        for _ in range(int(600 * CREDIT) - 1):
            begun(rates)
        for _ in range(5):
            await asyncio.sleep(0)
        assert cache.calls == 0, "what is little is told together"
        spent(rates, 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert cache.calls == 1
        monkeypatch.setattr("gateway.http.rates.TICK", 0.1)
        begun(rates)
        while cache.calls < 2:
            await asyncio.sleep(0.01)
        begun(rates)  # while the one before is told, or after that
    assert cache.calls == 3, "at the end the last is told, before the cache is closed"


async def test_what_is_taken_while_the_last_is_told_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.rates.TICK", 0)
    clock = Clock()
    cache = CacheByClock(clock)
    told, goes_on, spend = asyncio.Event(), asyncio.Event(), cache.spend

    async def slow(spendings: Sequence[Spending]) -> list[int] | None:
        told.set()
        await goes_on.wait()
        return await spend(spendings)

    monkeypatch.setattr(cache, "spend", slow)
    rates = process(clock, cache)
    async with rates.settling():
        spent(rates, 100)
        await told.wait()
        spent(rates, 50)
        asyncio.get_running_loop().call_soon(goes_on.set)
    (bucket,) = cache.buckets.values()
    assert bucket.left(clock()) == 600 - 150


async def test_a_process_forgets_those_who_have_all_their_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.rates.MOST_KNOWN", 6)
    clock = Clock()
    rates = process(clock, CacheByClock(clock))
    spent(rates, 600, "greedy")
    for number in range(5):
        begun(rates, f"u{number}")
    await rates.settle()
    assert len(rates._accounts) == 6
    clock.now += 1
    begun(rates, "u5")
    await rates.settle()
    assert {caller for _, caller in rates._accounts} == {"user greedy", "user u5"}
    with pytest.raises(RateLimited):
        begun(rates, "greedy").expect(11)
    for number in range(9):
        begun(rates, f"u{number}").expect(10)
    await rates.settle()
    assert len(rates._accounts) == 6, "and those who came first, if all others have spent something, too"


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "other", "settle"]), st.integers(0, 400), st.floats(0, 20)),
        max_size=50,
    )
)
def test_in_the_long_run_all_processes_together_let_through_no_more_than_the_rate(
    steps: list[tuple[str, int, float]],
) -> None:
    """As both settle after each request, the sum is a full bucket and what flows in; a request that the other process had not
    heard of is paid off before there is another."""
    clock = Clock()
    cache = CacheByClock(clock)
    processes = {"one": process(clock, cache), "other": process(clock, cache)}
    began, total, worst = clock.now, 0, 0

    async def run() -> None:
        nonlocal total, worst
        for who, points, pause in steps:
            clock.now += pause
            if who == "settle":
                for one in processes.values():
                    await one.settle()
                continue
            account = processes[who]._account("user ada", processes[who]._user)
            before = account.bucket.left(clock.now)
            try:
                charge = begun(processes[who])
                total += 1
                charge.expect(points + 1)
                total += points
            except RateLimited:
                pass
            assert account.bucket.left(clock.now) >= min(0.0, before) - 1e-6, "a process lets no debt be made"
            await processes[who].settle()
            worst = max(worst, points + 1)
            # The other one may not have heard of what this one let through: a full bucket of its own.
            assert total <= 600 + 10 * (clock.now - began) + 600 + 1e-6

    asyncio.run(run())


def bearer(settings: Settings, user: str = "ada", role: Role = Role.LEARNER) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(settings, user, [role], timedelta(hours=1))}"}


def by_clock(client: Any, **others: Any) -> Clock:
    """Has the application go by a test's clock, and not by what other processes say."""
    clock = Clock()
    client.app.state.rates = process(clock, CacheByClock(clock), **others)
    return clock


async def test_a_body_in_chunks_costs_what_one_that_is_announced_costs(
    settings: Settings, serving: Serving
) -> None:
    text = orjson.dumps({**ME, "variables": {"x": "y" * 20_000}})

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(text), 4_096):
            yield text[start : start + 4_096]

    async with serving(settings) as client:
        by_clock(client, points=100)
        headers = {**bearer(settings), "Content-Type": "application/json"}
        for content in (text, chunks()):
            answer = await client.post("/graphql", content=content, headers=headers)
            assert answer.status_code == 200
        # Twice 20 whole thousands of bytes.
        assert '"user";r=60;' in answer.headers["RateLimit"]


async def test_graphql_refuses_who_has_spent_everything_and_answers_others(
    settings: Settings, serving: Serving
) -> None:
    async with serving(settings) as client:
        clock = by_clock(client, points=10)
        before = own()
        first = await client.post("/graphql", json=ME, headers=bearer(settings))
        assert first.headers["RateLimit-Policy"] == '"user";q=10;qu="points";w=60'
        # 9 are left; the tenth comes back in 6 s.
        assert first.headers["RateLimit"] == '"user";r=9;t=6'
        for _ in range(9):
            assert (await client.post("/graphql", json=ME, headers=bearer(settings))).status_code == 200
        refused = await client.post("/graphql", json=ME, headers=bearer(settings))
        assert refused.status_code == 429
        # A point in 6 s.
        assert refused.headers["Retry-After"] == "6"
        assert refused.headers["Cache-Control"] == "no-store"
        (error,) = refused.json()["errors"]
        assert "data" not in refused.json()
        assert error["extensions"] == {
            "code": "RATE_LIMITED",
            "limit": "rate_points",
            "most": 10,
            "retryAfter": 6,
        }
        assert grown(before, "cohort_over_rate_total", who="user", outcome="refused") == 1
        assert (await client.post("/graphql", json=ME, headers=bearer(settings, "bob"))).status_code == 200
        clock.now += 6
        assert (await client.post("/graphql", json=ME, headers=bearer(settings))).status_code == 200


async def test_an_expensive_document_is_refused_by_its_estimate_before_it_is_executed(
    settings: Settings, serving: Serving
) -> None:
    document = {
        "query": "query($ids: [String!]!) { collections(identifiers: $ids) { identifier } }",
        "variables": {"ids": [f"{number}" for number in range(20)]},
    }
    async with serving(settings) as client:
        clock = by_clock(client, points=60)
        first = await client.post("/graphql", json=document, headers=bearer(settings))
        assert first.status_code == 200
        assert first.headers["X-Cost"].startswith("estimate="), first.headers
        estimate = int(first.headers["X-Cost"].split(";")[0].removeprefix("estimate="))
        actual = int(first.headers["X-Cost"].rpartition("=")[2])
        assert 1 <= actual <= estimate <= 60
        assert first.headers["RateLimit"].split(";")[1] == f"r={60 - actual}"
        client.app.state.rates.take(  # type: ignore[attr-defined]
            client.app.state.rates._account("user ada", client.app.state.rates._user),  # type: ignore[attr-defined]
            60 - actual - 2,
        )
        with client.app.state.cohort.stores.rows.meter.measure() as statements:  # type: ignore[attr-defined]
            refused = await client.post("/graphql", json=document, headers=bearer(settings))
        assert refused.status_code == 429
        assert not statements
        clock.now += int(refused.headers["Retry-After"])
        assert (await client.post("/graphql", json=document, headers=bearer(settings))).status_code == 200


async def test_the_platforms_calls_are_refused_in_their_envelope(
    settings: Settings, serving: Serving
) -> None:
    body = {"request": {"userId": "ada", "courseId": "x", "batchId": "y"}}
    async with serving(settings) as client:
        by_clock(client, points=12)
        first = await client.post(READ, json=body, headers=bearer(settings))
        assert first.status_code != 429
        assert "RateLimit" in first.headers
        refused = await client.post(READ, json=body, headers=bearer(settings))
        # 12 by its estimate, and the first has cost some.
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["params"]["err"] == "RATE_LIMITED"
        assert refused.json()["responseCode"] == "CLIENT_ERROR"


async def test_figures_and_files_are_refused_in_their_shape(settings: Settings, serving: Serving) -> None:
    async with serving(settings) as client:
        by_clock(client, points=75)
        headers = bearer(settings, role=Role.REPORTER)
        url = "/metrics/table?metrics=ENROLLED_COUNT"
        assert (await client.get(url, headers=headers)).status_code == 200
        refused = await client.get(url, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "RATE_LIMITED"
        assert int(refused.headers["Retry-After"]) >= 1


async def test_who_runs_into_the_deadline_is_told_what_it_has_cost_and_pays_that(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is cut off while it is worked on, after its estimate of 12 points was taken. No statement was sent: it costs 1."""
    deadlines: list[Cutoff] = []

    class Noted(Cutoff):
        __slots__ = ()

        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            deadlines.append(self)

    async def never(_receive: Receive, reading: Coroutine[Any, Any, object]) -> None:
        reading.close()
        deadlines[-1].cut()
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.http.limits.Cutoff", Noted)
    monkeypatch.setattr("gateway.rest.framework.endpoints.while_connected", never)
    body = {"request": {"userId": "ada", "courseId": "x", "batchId": "y"}}
    async with serving(settings) as client:
        by_clock(client)
        answer = await client.post(READ, json=body, headers=bearer(settings))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "DEADLINE_EXCEEDED")
    assert answer.headers["X-Cost"] == "estimate=12; actual=1"
    assert answer.headers["RateLimit"].split(";")[1] == "r=599"


@pytest.mark.parametrize(
    ("path", "body", "authorization", "status"),
    [
        ("/graphql", b'{"query": "{ me { userId } }"}', "Bearer no token", 401),
        ("/graphql", b'{"query": "{ nothing }"}', None, 200),
        ("/graphql", b"{", None, 400),
        (READ, b"{", None, 400),
        (READ, b'{"request": {}}', None, 401),
        (READ, b'{"request": {}}', "Bearer no token", 401),
        ("/metrics/table", b"{}", "Bearer no token", 401),
    ],
)
async def test_what_is_refused_for_any_other_reason_costs_an_address_a_point(
    settings: Settings, serving: Serving, path: str, body: bytes, authorization: str | None, status: int
) -> None:
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": authorization} if authorization else {}
    )
    async with serving(settings) as client:
        by_clock(client, points=10)
        for _ in range(5):
            answer = await client.post(path, content=body, headers=headers)
            assert answer.status_code == status, answer.text
        refused = await client.post(path, content=body, headers=headers)
        assert refused.status_code == 429
        assert "RATE_LIMITED" in refused.text
        assert refused.headers["Retry-After"] == "12"  # a point of 5 a minute
        me = await client.post("/graphql", json=ME, headers=bearer(settings))
        assert me.status_code == 200, "who has a token does not pay for its address"
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("path", ["/graphql", "/mcp", READ])
async def test_what_http_refuses_costs_an_address_what_was_read_of_it(serving: Serving, path: str) -> None:
    """Of a body that is too large nothing is read where its length was announced, and 2,000 bytes were where it comes in chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 500

    headers = {"Content-Type": "application/json"}
    before = own()
    async with serving(load_settings(jwt_key=KEY, largest_body=1_999, mcp="queries")) as client:
        by_clock(client, points=24)
        refusals = [
            (client.post(path, content=b" " * 9_000_000, headers=headers), 413, 11),
            (client.post(path, content=chunks(), headers=headers), 413, 9),
            (client.post(f"{path}?{'&' * 1_000}", content=b"{}", headers=headers), 400, 8),
            (client.get("/nowhere"), 404, 7),
            (client.post("/nowhere", content=b" " * 1_900, headers=headers), 404, 6),
            (client.get("/course/v1/nowhere"), 404, 5),
            (client.put(READ, content=b" " * 1_900, headers=headers), 405, 4),
            (client.post("/health/live"), 405, 3),
            (client.get("/nowhere"), 404, 2),
            (client.get("/nowhere"), 404, 1),
            (client.post(path, content=chunks(), headers=headers), 413, 0),
            (client.post(path, content=chunks(), headers=headers), 413, 0),
            (client.get("/nowhere"), 404, 0),
        ]
        for refused, status, left in refusals:
            answer = await refused
            assert answer.status_code == status
            assert f'"anonymous";r={left};' in answer.headers["RateLimit"], "told as it is, whatever is left"
        assert grown(before, "cohort_over_rate_total", who="anonymous", outcome="refused") == 0
        over = await client.post("/graphql", json=ME)
        assert (over.status_code, over.headers["Retry-After"]) == (429, "5"), (
            "a point of 12 a minute: no debt"
        )


async def test_who_leaves_before_the_answer_has_paid_the_estimate(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on for them is not known by then. Who stays pays what it has cost, which is less."""
    fifty = {"query": "{ me { enrolments(first: 50) { edges { cursor } } } }"}
    async with serving(settings) as client:
        by_clock(client)
        answer = await client.post("/graphql", json=fifty, headers=bearer(settings))
        estimate, actual = (int(part.split("=")[1]) for part in answer.headers["X-Cost"].split("; "))
        assert estimate > actual >= 1
        with monkeypatch.context() as patched:
            patched.setattr("gateway.graphql_http.while_connected", left_at_the_end)
            with suppress(AssertionError):  # the transport's, as nobody is answered
                await client.post("/graphql", json=fifty, headers=bearer(settings))
        answer = await client.post("/graphql", json=fifty, headers=bearer(settings))
        assert answer.headers["RateLimit"].split(";")[1] == f"r={600 - 2 * actual - estimate}"


async def left_at_the_end(_receive: Receive, reading: Coroutine[Any, Any, object]) -> None:
    await reading
    raise ClientDisconnect


async def test_who_is_over_its_rate_is_only_told_of_where_the_settings_say_so(
    settings: Settings, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway.http.rates")
    async with serving(settings) as client:
        clock = by_clock(client, points=2, enforced=False)
        before = own()
        for _ in range(5):
            assert (await client.post("/graphql", json=ME, headers=bearer(settings))).status_code == 200
        assert grown(before, "cohort_over_rate_total", who="user", outcome="let_through") == 3
        (line,) = caplog.records
        assert "let through" in line.getMessage()
        fields: dict[str, Any] = line.fields  # type: ignore[attr-defined]
        assert fields["limit"] == "rate_points"
        assert fields["caller"] == client.app.state.cohort.callers.name("ada", None)  # type: ignore[attr-defined]
        clock.now += 61
        for _ in range(3):
            await client.post("/graphql", json=ME, headers=bearer(settings))
        assert len(caplog.records) == 2, "one line a minute, and no debt of what was let through"
    assert not rates_of(load_settings(jwt_key=KEY, warn_only=("rate",)), lambda: cast("Cache", None)).enforced


async def test_two_servers_on_one_cache_share_what_a_caller_may_spend(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, rate_points=100)
    async with serving(settings) as one, serving(settings) as other:
        for _ in range(95):
            assert (await one.post("/graphql", json=ME, headers=bearer(settings))).status_code == 200
        await one.app.state.rates.settle()  # type: ignore[attr-defined]
        await other.post("/graphql", json=ME, headers=bearer(settings))
        await other.app.state.rates.settle()  # type: ignore[attr-defined]
        answers = [await other.post("/graphql", json=ME, headers=bearer(settings)) for _ in range(60)]
        assert {answer.status_code for answer in answers} == {200, 429}
        # 4, and what came back meanwhile: 100 a minute.
        assert sum(answer.status_code == 200 for answer in answers) < 30


async def test_without_a_rate_nothing_is_counted_or_told(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, rate_points=0, rate_points_anonymous=0)
    async with serving(settings) as client:
        answer = await client.post("/graphql", json=ME, headers=bearer(settings))
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers
        assert (await client.post("/graphql", content=b"{")).status_code == 415
        assert client.app.state.rates._accounts == {}  # type: ignore[attr-defined]


def test_a_bucket_in_the_cache_does_not_say_whose_it_is() -> None:
    account = Account("user ada", Rate("user", "rate_points", 1))
    assert "ada" not in account.key
    assert account.key != Account("user bob", account.rate).key
