"""Has each server go wrong in each way while everything is asked, and tells how each question ended."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import redis.asyncio
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.identity import make_token
from gateway.settings import Settings
from gateway.wiring import Cohort
from loaders.session import Shared
from rules.packages import PackageVariant, package_name
from stores.cache_redis import RedisCache
from stores.tables import TABLES
from stores.topics import TOPICS
from tests.access_matrix import make_school
from tests.conftest import (
    REDIS,
    Instance,
    drop_search_index,
    drop_topics,
    empty_keyspace,
    real_urls,
)
from tests.gateway.conftest import KEY
from tests.outages.proxies import STORES, Fault, Proxies, proxied
from tests.outages.questions import Question, asked_to_change, asked_to_read, fields_of

SIDE_BY_SIDE = 24
"""Requests under way at a time."""
SHORT, LONG = 2.0, 30.0
"""Deadlines of requests, in seconds: where an answer that never comes is waited for, and where it comes, however late."""
AT_ONCE = {(store, Fault.STOPPED) for store in STORES if store != "events"} | {
    (store, Fault.CUT) for store in ("cache", "groups", "blobs", "search")
}
"""Where an outage is noticed at once: an answer that waits for the deadline is a fault there. Clients of Kafka try again until
then; Cassandra's ask whether a connection lives."""
LATEST = 1.0
"""Seconds after its deadline by which a request is answered."""
HEALED = 60.0
"""Seconds that all may take to work again. It takes a few; a busy machine needs more."""

ANSWERS, ACKNOWLEDGED, NOT_DONE, NOT_REACHED = "answers", "acknowledged", "acknowledged, not done", "—"
LATE = "later than its deadline"
ALREADY = {"ALREADY_ENROLLED", "NOT_ENROLLED", "USER_ALREADY_ENROLLED_COURSE", "USER_NOT_ENROLLED_COURSE"}
"""Codes of a call that finds what it was to do done: by itself, when it was refused before."""
Outcomes = dict[str, set[str]]
"""By the names of LINES."""


@dataclass
class Seen:
    """What happened while a server was in one way away. ``wrong``: what must never happen."""

    outcomes: Outcomes = field(default_factory=lambda: defaultdict(set))
    acknowledged: list[Question] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Ended:
    """One request: its status, its answer, the seconds that it took."""

    question: Question
    status: int
    answer: Any
    took: float

    @property
    def codes(self) -> list[str]:
        """Of all that went wrong."""
        told = self.answer if isinstance(self.answer, dict) else {}
        if not self.question.is_graphql:
            if self.status < 400:
                return []
            error = told.get("error") or {}
            return [error.get("code") or (told.get("params") or {}).get("err") or told.get("status") or "?"]
        found = [error["extensions"]["code"] for error in told.get("errors", [])]
        if self.question.changes:
            for payload in (told.get("data") or {}).values():
                found += [error["code"] for error in (payload or {}).get("errors", [])]
        return sorted({*found})

    @property
    def is_acknowledged(self) -> bool:
        """Whether a call that changes something says that it is done, though it may not be able to show it."""
        if not self.question.is_graphql:
            result = self.answer.get("result") if isinstance(self.answer, dict) else None
            return self.status == httpx.codes.OK and not (result or {}).get("errors")
        return all(payload is not None and not payload.get("errors") for payload in self._payloads)

    @property
    def is_done(self) -> bool:
        """False where an acknowledged call says that it goes on by itself."""
        return not self.question.is_graphql or all(payload.get("done", True) for payload in self._payloads)

    @property
    def _payloads(self) -> list[Any]:
        return [*((self.answer or {}).get("data") or {"": None}).values()]


class Outages:
    """An instance on real servers, each behind a proxy."""

    def __init__(self, instance: Instance, proxies: Proxies, settings: Settings) -> None:
        self.instance = instance
        self.proxies = proxies
        self._settings = settings
        self._apps: dict[float, Starlette] = {}
        self._reads: list[Question] = []
        self._well: dict[Question, Ended] = {}

    async def prepare(self) -> None:
        """A school, and what is read of it."""
        await make_school(self.instance)
        blob = package_name("course", 1, PackageVariant.SPINE)

        async def content() -> AsyncIterator[bytes]:
            yield b"package"

        await self.instance.stores.blobs.put(blob, content())
        asked = """mutation { requestExhaust(input: { kind: PROGRESS, collectionId: "course", contextId: "batch",
            format: CSV }) { exhaust { exhaustId } errors { message } }
            publish(input: { identifier: "book" }) { publication { publicationId } errors { message } } }"""
        made = await self._ask(
            Question("", "POST", "/graphql", orjson.dumps({"query": asked}), document=asked)
        )
        data = made.answer["data"]
        table = orjson.dumps({"table": {"metrics": ["ENROLLED_COUNT"], "activityIds": ["course"]}})
        link = await self._ask(Question("", "POST", "/metrics/links", table))
        self._reads = asked_to_read(
            data["requestExhaust"]["exhaust"]["exhaustId"],
            data["publish"]["publication"]["publicationId"],
            link.answer["url"].rpartition("/")[2],
        )

    async def watch(
        self,
        store: str,
        fault: Fault,
        only: frozenset[str] | None = None,
        factor: int = 1,
        at_once: int = SIDE_BY_SIDE,
    ) -> Seen:
        """Asks everything, or what the lines ``only`` need, of a process that keeps nothing yet. ``factor``: how much more time
        there is than usual. ``at_once``: requests under way at a time."""
        seen = Seen()
        reads = [one for one in self._reads if only is None or not only.isdisjoint(lines_of(one))]
        changes = await asked_to_change(self.instance, only)
        for one in await self._all([one for one in reads if one not in self._well], LONG):
            self._well[one.question] = one
        await self._forget()
        is_quick = fault is Fault.SLOWED or (store, fault) in AT_ONCE
        limit = LONG if is_quick else SHORT * factor
        await self.proxies.of[store].becomes(fault)
        try:
            ended = await self._all([*reads, *changes], limit, at_once)
        finally:
            await self.proxies.of[store].becomes(None)
        for one in ended:
            if "INTERNAL_ERROR" in one.codes or one.status == httpx.codes.INTERNAL_SERVER_ERROR:
                seen.wrong.append(f"{one.question.name}: a fault of Cohort: {str(one.answer)[:300]}")
            if one.took > limit + LATEST:
                for name in lines_of(one.question):
                    seen.outcomes[name].add(LATE)
            if one.question.changes:
                _note_change(seen, one, is_quick)
            else:
                _note_read(seen, one, self._well[one.question], store, is_quick)
        await self._healed()
        refused = [
            one.question
            for one in ended
            if one.question.changes and not (one.is_acknowledged and one.is_done)
        ]
        seen.wrong += await self._again(refused)
        seen.acknowledged += refused
        return seen

    async def _all(
        self, questions: Iterable[Question], limit: float, at_once: int = SIDE_BY_SIDE
    ) -> list[Ended]:
        slots = asyncio.Semaphore(at_once)

        async def ask(question: Question) -> Ended:
            async with slots:
                return await self._ask(question, limit)

        return await asyncio.gather(*map(ask, questions))

    async def _ask(self, question: Question, limit: float = LONG) -> Ended:
        app = self._app(limit)
        viewer = question.viewer
        token = make_token(
            self._settings, str(viewer.user_id), sorted(viewer.roles, key=str), timedelta(hours=1)
        )
        headers = {"Authorization": f"Bearer {token}"}
        if question.sent is not None:
            headers["Content-Type"] = "application/json"
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        began = time.monotonic()
        async with httpx.AsyncClient(transport=transport, base_url="http://cohort", timeout=None) as client:
            answer = await client.request(
                question.method, question.path, content=question.sent, headers=headers
            )
        took = time.monotonic() - began
        told = answer.headers.get("content-type", "")
        read = orjson.loads(answer.content) if "json" in told and answer.content else answer.text
        return Ended(question, answer.status_code, read, took)

    def _app(self, limit: float) -> Starlette:
        """As it is with this deadline; all have the same stores."""
        if limit not in self._apps:
            self._apps[limit] = create_app(self._settings.model_copy(update={"request_timeout": limit}))
        app = self._apps[limit]
        app.state.cohort = Cohort(self._settings, self.instance.shared)
        return app

    async def _forget(self) -> None:
        """What this process keeps, and the cache, so that what is asked is read."""
        await self.instance.shared.background.settled()
        await self._empty_cache()
        self.instance.shared = Shared.of(self.instance.stores)

    async def _empty_cache(self) -> None:
        async with redis.asyncio.from_url(REDIS) as server:
            async for key in server.scan_iter(match=f"{self._settings.prefix}:*", count=1000):
                await server.unlink(key)

    async def _healed(self) -> None:
        """Returns once all stores answer, nobody having done anything."""
        cache = self.instance.stores.cache
        assert isinstance(cache, RedisCache)
        health = Question("GET /health/ready", "GET", "/health/ready")
        async with asyncio.timeout(HEALED):
            while True:
                told = await self._ask(health)
                if set(told.answer["stores"].values()) == {"ready"} and cache._recovery is None:
                    return
                await asyncio.sleep(0.1)

    async def _again(self, questions: Sequence[Question]) -> list[str]:
        """Sends what was refused again, until it is acknowledged."""

        async def until_acknowledged(question: Question) -> str | None:
            told = None
            try:
                async with asyncio.timeout(HEALED):
                    while True:
                        told = await self._ask(question)
                        if (told.is_acknowledged and told.is_done) or (
                            told.codes and not {*told.codes} - ALREADY
                        ):
                            return None
                        if {*told.codes} - RETRIABLE:
                            break
                        await asyncio.sleep(0.2)
            except TimeoutError:
                pass
            return f"{question.name}: sent again once all was well: {str(told and told.answer)[:300]}"

        found = []
        for start in range(0, len(questions), SIDE_BY_SIDE):
            part = questions[start : start + SIDE_BY_SIDE]
            found += [one for one in await asyncio.gather(*map(until_acknowledged, part)) if one]
        return found


RETRIABLE = {"STORE_UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED", "SERVICE_UNAVAILABLE"}


def lines_of(question: Question) -> list[str]:
    """Which lines of the page a question is for."""
    return [name for _, name in fields_of(question.document)] if question.is_graphql else [question.name]


def _note_change(seen: Seen, one: Ended, is_quick: bool) -> None:
    if one.is_acknowledged:
        seen.acknowledged.append(one.question)
        seen.outcomes[one.question.name].add(ACKNOWLEDGED if one.is_done else NOT_DONE)
    else:
        seen.outcomes[one.question.name].add(_refused(one, is_quick))
    if one.question.is_graphql and one.is_acknowledged:
        for path, name in fields_of(one.question.document):
            if len(path) > 1:
                seen.outcomes[name] |= _outcomes(path, one, one, is_quick)


def _note_read(seen: Seen, one: Ended, well: Ended, store: str, is_quick: bool) -> None:
    name = one.question.name
    if well.codes:
        seen.wrong.append(f"{name}: {well.codes} though all is well: {str(well.answer)[:300]}")
    if one.question.is_graphql:
        for path, field_name in fields_of(one.question.document):
            seen.outcomes[field_name] |= _outcomes(path, one, well, is_quick)
    elif name == "GET /health/ready":
        # On a busy machine another one may not answer in the two seconds that it has.
        away = "" if one.answer["stores"].get(store) == "ready" else f", `{store}` away"
        seen.outcomes[name].add(f"{one.status} {one.answer['status']}{away}")
    elif one.status == well.status:
        seen.outcomes[name].add(ANSWERS)
    else:
        seen.outcomes[name].add(_refused(one, is_quick))


def _refused(one: Ended, is_quick: bool) -> str:
    if one.question.is_graphql:
        return f"refused {_when(one.codes, is_quick)}"
    known = {503: "STORE_UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
    return f"refused {_when([known.get(one.status, f'{one.status} {one.codes}')], is_quick)}"


def _when(codes: Iterable[str], is_quick: bool) -> str:
    """Of an outage; any other code as it is."""
    told = {*codes}
    if told <= {"STORE_UNAVAILABLE"} and is_quick:
        return "at once"
    if told <= {"STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"}:
        return "by the deadline"
    return f"with {'/'.join(sorted(told))}"


def _outcomes(path: tuple[str, ...], one: Ended, well: Ended, is_quick: bool) -> set[str]:
    told = one.answer if isinstance(one.answer, dict) else {}
    if told.get("data") is None:
        return {f"null {_when(one.codes, is_quick)}"} if len(path) == 1 else {NOT_REACHED}
    values = [*_values(told["data"], path)]
    if not values:
        return {NOT_REACHED}
    codes = set()
    for error in told.get("errors", []):
        at = tuple(step for step in error.get("path", ()) if isinstance(step, str))
        if at == path or (at[: len(path)] == path and None in values):
            codes.add(error["extensions"]["code"])
    if codes:
        return {f"null {_when(codes, is_quick)}"}
    if _is_nothing(values) and not _is_nothing([*_values(well.answer["data"], path)]):
        return {"null without an error"}
    return {ANSWERS}


def _values(data: Any, path: tuple[str, ...]) -> Iterable[Any]:
    if not path:
        yield data
    elif isinstance(data, list):
        for each in data:
            yield from _values(each, path)
    elif data is not None and path[0] in data:
        yield from _values(data[path[0]], path[1:])


def _is_nothing(values: Sequence[Any]) -> bool:
    """What tells whether it was read: times and links differ each time, and lists grow."""
    return all(value is None for value in values)


@asynccontextmanager
async def outages(data: Path) -> AsyncIterator[Outages]:
    """With a school on real servers, of which nothing is left."""
    real = real_urls()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(empty_keyspace, real["rows"])
        stack.push_async_callback(drop_topics, real["prefix"])
        stack.push_async_callback(drop_search_index, real["prefix"])
        proxies = await stack.enter_async_context(proxied(real))
        instance = Instance(proxies.urls, data)
        instance.shared = await stack.enter_async_context(instance.opened())
        stores = instance.stores
        await stores.rows.init(TABLES)
        await stores.events.init(TOPICS)
        await stores.search.init()
        await stores.learner_search.init()
        settings = Settings(
            **proxies.urls,  # type: ignore[arg-type]
            data=data,
            jwt_key=KEY,  # type: ignore[arg-type]
            metric_links=True,
            federation=True,
            most_at_once=1_000,
            compressed_from=0,
            rate_points=0,
            rate_points_anonymous=0,
        )
        found = Outages(instance, proxies, settings)
        await found.prepare()
        yield found
