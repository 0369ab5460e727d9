"""What both engines of the groups port promise (stores/groups.py). Expected values are counted by hand or by the plain
Python of groups_data.py.

One store serves the whole module, since Druid has few tasks: each test has an activity of its own.
"""

import asyncio
import calendar
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any as Anything

import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE, ACTIVITY_TOTALS, DATA_SOURCES, DataSource
from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from rules.states import LONGEST_SCORES
from stores.blob_copies import MOST
from stores.deadline import deadline
from stores.engines import open_stores
from stores.events import Events
from stores.groups import (
    All,
    Any,
    Between,
    Figures,
    Groups,
    KeyFilter,
    Kind,
    Lane,
    Measure,
    Not,
    OneOf,
    Order,
    Query,
    Rows,
    Value,
    Where,
    Windows,
)
from stores.groups_mirrored import MirroredGroups
from stores.topics import TOPICS
from tests.conftest import drop_data_sources, drop_topics, embedded_urls, examples, real_urls
from tests.stores.groups_data import (
    COLUMNS,
    VALUES,
    Event,
    active_day,
    answer,
    events_of,
    figures,
    message,
    state,
    total,
    wheres,
)
from tests.stores.test_groups_mirrored import Original

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

VISIBLE_WITHIN = 180.0
"""Seconds; Druid's first task needs most of them."""
PROBES = 64
"""Keys of a probe: so many that each partition of the topic gets some."""
COUNT = Measure("n", Kind.COUNT)
NOW_MS = 1_764_000_000_000

some = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


class Store:
    """An engine and the log that it is fed from."""

    def __init__(self, groups: Groups, events: Events) -> None:
        self.groups = groups
        self.events = events
        self.fixed: list[Event] = []
        """What ``filled`` has put in."""

    async def fill(self, source: DataSource, events: Iterable[Event]) -> None:
        """Returns when all of them have been read: what came after them in every partition is visible."""
        probe = f"probe-{secrets.token_hex(6)}"
        makers: dict[DataSource, Callable[[str, str], Event]] = {
            ACTIVITY_STATE: state,
            ACTIVITY_TOTALS: lambda activity, n: total(activity, "", n),
            ACTIVITY_DAY: lambda collection, n: active_day(collection, n, "2026-01-01"),
        }
        make = makers[source]
        await self.events.send(source.topic, *map(message, events))
        await self.events.send(source.topic, *(message(make(probe, str(n))) for n in range(PROBES)))
        counted = Figures(source, (), (COUNT,), ((source.placed_by, (probe,)),))
        async with asyncio.timeout(VISIBLE_WITHIN):
            while not await self._has(counted):
                await asyncio.sleep(0.1)

    async def _has(self, probes: Figures) -> bool:
        """Whoever may answer: a mirror is asked for tables, once it lags little, and its engine for pages."""
        lanes = [Lane.TABLES]
        if isinstance(self.groups, MirroredGroups):
            if probes.source is ACTIVITY_STATE and not self.groups.is_current:
                return False
            lanes.append(Lane.PAGES)
        return all([await self.ask(probes, lane) == [(PROBES,)] for lane in lanes])

    async def ask(self, query: Query, lane: Lane = Lane.TABLES) -> list[tuple[Value, ...]]:
        found = await self.groups.query(query, lane)
        assert found.complete
        return [tuple(row) for row in found.rows]


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[
        "duckdb",
        "mirror of duckdb",
        pytest.param("druid", marks=pytest.mark.stack),
        pytest.param("mirror of druid", marks=pytest.mark.stack),
    ],
)
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Store]:
    """A mirror answers for its engine; the one of DuckDB is there so that what a mirror does is tried everywhere."""
    real, is_mirror = request.param.endswith("druid"), request.param.startswith("mirror")
    urls = embedded_urls() | (
        {name: real_urls()[name] for name in ("events", "groups", "prefix")} if real else {}
    )
    urls["prefix"] += f"-{secrets.token_hex(4)}"
    if real and is_mirror:
        urls["groups"] += "&mirror=1000000"
    folder = tmp_path_factory.mktemp("groups")
    async with AsyncExitStack() as stack:
        if real:
            stack.push_async_callback(drop_topics, urls["prefix"])
            stack.push_async_callback(drop_data_sources, urls["prefix"])
        stores = await stack.enter_async_context(open_stores(links=None, copies=MOST, data=folder, **urls))
        await stores.events.init(TOPICS)
        assert await stores.groups.init(DATA_SOURCES) != []
        groups = stores.groups
        if is_mirror and not real:
            original = await Original.open(folder / "original.duckdb", stores.events)
            groups = await MirroredGroups.open(
                original, stores.events, folder / "mirror.duckdb", most=1_000_000
            )
            stack.push_async_callback(groups.close)
            await groups.init(DATA_SOURCES)
        if is_mirror:
            assert isinstance(groups, MirroredGroups)
            async with asyncio.timeout(VISIBLE_WITHIN):
                while not groups.is_current:
                    with suppress(StoreUnavailable):  # Druid has no data source before its first event
                        await groups.extent(ACTIVITY_STATE, ())
                    await asyncio.sleep(0.1)
        yield Store(groups, stores.events)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(store: Store) -> Store:
    """With 400 events of about 200 keys: every value that filters know, in every company."""
    chance = random.Random(4)
    for n in range(400):
        values = {name: chance.choice(values) for name, values in VALUES.items()}
        latest = {name: value for name, value in values.items() if name in ACTIVITY_STATE.latest}
        context = chance.choice(["cb:1", "cb:2"])
        store.fixed.append(state("fixed", f"u{chance.randrange(100)}", n, context_id=context, **latest))
    chance.shuffle(store.fixed)
    await store.fill(ACTIVITY_STATE, store.fixed)
    return store


def new(name: str = "activity") -> str:
    return f"{name}-{secrets.token_hex(6)}"


def activity(*ids: str) -> KeyFilter:
    return (("activity_id", ids),)


def rows(columns: Iterable[str], id_: str, where: Where | None = None, limit: int | None = None) -> Rows:
    return Rows(ACTIVITY_STATE, tuple(columns), activity(id_), where, limit)


def ms(*at: int) -> int:
    return calendar.timegm((*at, 0, 0, 0)[:6]) * 1000


# --- what is stored


async def test_init_does_nothing_the_second_time(store: Store) -> None:
    assert await store.groups.init(DATA_SOURCES) == []


async def test_it_answers_a_ping(store: Store) -> None:
    await store.groups.ping()


async def test_of_a_key_the_highest_version_holds_whatever_came_first_or_twice(store: Store) -> None:
    me = new()
    told = {2: ("North", 10), 3: ("South", None), 1: ("East", 99)}
    events = [state(me, "ada", v, state=told[v][0], status=told[v][1]) for v in (2, 3, 1, 3, 2)]
    await store.fill(ACTIVITY_STATE, events)
    assert await store.ask(rows(("user_id", "state", "status"), me)) == [("ada", "South", None)]
    await store.fill(ACTIVITY_STATE, [state(me, "ada", 1, state="East"), state(me, "ada", 4, state="West")])
    assert await store.ask(rows(("user_id", "state", "status"), me)) == [("ada", "West", None)]
    await store.fill(ACTIVITY_STATE, [state(me, "ada", 3, state="South"), state(me, "ada", 2, state="North")])
    assert await store.ask(rows(("user_id", "state", "status"), me)) == [("ada", "West", None)]


async def test_filters_see_the_latest_values_only(store: Store) -> None:
    me = new()
    moved = [state(me, "ada", 1, state="North", status=2), state(me, "ada", 2, state="South", status=0)]
    await store.fill(ACTIVITY_STATE, moved)
    assert await store.ask(rows(("user_id",), me, OneOf("state", ("North",)))) == []
    was_done = Measure("done", Kind.COUNT, where=OneOf("status", (2,)))
    assert await store.ask(Figures(ACTIVITY_STATE, ("state",), (COUNT, was_done), activity(me))) == [
        ("South", 1, 0)
    ]


async def test_thousands_of_shuffled_and_repeated_events_leave_one_row_a_key(store: Store) -> None:
    me, chance = new(), random.Random(11)
    events = [
        state(
            me,
            f"u{n % 700}",
            chance.randrange(1, 10**15),
            state=chance.choice([None, "", "North", "back\\"]),
            status=chance.choice([None, 0, 1, 2]),
            time_spent=n,
        )
        for n in range(3000)
    ]
    events += chance.sample(events, 700)
    chance.shuffle(events)
    await store.fill(ACTIVITY_STATE, events)
    query = rows(("user_id", "state", "status", "time_spent"), me)
    found = await store.ask(query)
    assert len(found) == 700
    assert Counter(found) == Counter(answer(query, events))


@settings(some, max_examples=examples(10))
@given(drawn=st.lists(events_of(""), min_size=1, max_size=6))
async def test_any_order_and_number_of_events_gives_the_same_rows(
    store: Store, drawn: list[list[Event]]
) -> None:
    """Several histories an example, each of an activity of its own: they take a moment to become visible."""
    histories = {new(): events for events in drawn}
    events = [{**event, "activity_id": me} for me, events in histories.items() for event in events]
    await store.fill(ACTIVITY_STATE, [_placed(event) for event in events])
    query = Rows(ACTIVITY_STATE, COLUMNS, activity(*histories))
    assert Counter(await store.ask(query)) == Counter(answer(query, events))


def _placed(event: Event) -> Event:
    """At the time of its activity."""
    return {**event, "time": state(event["activity_id"], "")["time"]}


TEXTS = [
    None,
    "",
    " ",
    "back\\",
    "\\",
    '"quoted"',
    "it's",
    "a,b;c|d",
    "line\nbreak\ttab",
    "größer",
    "日本語",
    "\U0001f600\U0001f468\u200d\U0001f469",
    "null",
    "NULL",
    "\x00",
    "\x00=",
    "\x01",
    "\uffff",
    "%_*?",
    "{}",
    "1",
]


async def test_texts_come_back_as_they_were_and_a_filter_finds_each_alone(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, f"u{n}", state=text) for n, text in enumerate(TEXTS)])
    found = await store.ask(rows(("user_id", "state"), me))
    assert Counter(found) == Counter((f"u{n}", text) for n, text in enumerate(TEXTS))
    groups = await store.ask(Figures(ACTIVITY_STATE, ("state",), (COUNT,), activity(me)))
    assert sorted(groups, key=repr) == sorted([(text, 1) for text in TEXTS], key=repr)
    for n, text in enumerate(TEXTS):
        alone = rows(("user_id",), me, OneOf("state", (text,)))
        assert await store.ask(alone) == [(f"u{n}",)], text


async def test_keys_may_hold_any_text(store: Store) -> None:
    texts = [text for text in TEXTS if text]
    ids = [new(text) for text in texts]
    await store.fill(ACTIVITY_STATE, [state(id_, text) for id_, text in zip(ids, texts, strict=True)])
    query = Rows(ACTIVITY_STATE, ("activity_id", "user_id"), activity(*ids))
    assert Counter(await store.ask(query)) == Counter(zip(ids, texts, strict=True))
    for id_, text in zip(ids, texts, strict=True):
        one = Rows(ACTIVITY_STATE, ("activity_id",), (*activity(*ids), ("user_id", (text,))))
        assert await store.ask(one) == [(id_,)], text


async def test_numbers_come_back_exactly(store: Store) -> None:
    me = new()
    numbers = [None, 0, -1, 2**53 + 1, 2**62, -(2**62), 1_767_225_599_999]
    await store.fill(ACTIVITY_STATE, [state(me, f"u{n}", time_spent=v) for n, v in enumerate(numbers)])
    found = await store.ask(rows(("user_id", "time_spent"), me))
    assert Counter(found) == Counter((f"u{n}", v) for n, v in enumerate(numbers))
    assert all(type(value) in (int, type(None)) for _, value in found)
    assert await store.ask(rows(("user_id",), me, OneOf("time_spent", (2**53 + 1,)))) == [("u3",)]
    above = Between("time_spent", least=2**53, above=True)
    assert sorted(await store.ask(rows(("user_id",), me, above))) == [("u3",), ("u4",)]
    at = 2**53 + 1  # as a double it would be 2^53
    assert await store.ask(rows(("user_id",), me, Between("time_spent", at, at))) == [("u3",)]
    for beyond in (Between("time_spent", at, above=True), Between("time_spent", most=at, below=True)):
        assert ("u3",) not in await store.ask(rows(("user_id",), me, beyond))
    sums = Measure("sum", Kind.SUM, "time_spent", Between("time_spent", most=2**60))
    # -1 + 0 + (2^53 + 1) - 2^62 + 1767225599999
    assert await store.ask(Figures(ACTIVITY_STATE, (), (sums,), activity(me))) == [
        (2**53 - 2**62 + 1_767_225_599_999,)
    ]


# --- what is asked


async def test_fractions_come_back_exactly_and_nothing_is_none_of_them(store: Store) -> None:
    """4.5 of 6 points, 0 points, and nothing, which also replaces what was there before."""
    me = new()
    told = {"ada": 4.5, "ben": 0.0, "cyd": None, "dan": 1.33}
    events = [state(me, user, 2, score=score, max_score=6.0) for user, score in told.items()]
    await store.fill(ACTIVITY_STATE, [*events, state(me, "cyd", 1, score=3.25, max_score=6.0)])
    assert sorted(await store.ask(rows(("user_id", "score", "max_score"), me))) == [
        (user, score, 6.0) for user, score in told.items()
    ]
    measures = (
        Measure("sum", Kind.SUM, "score"),
        Measure("most", Kind.MAX, "score"),
        Measure("half", Kind.COUNT, where=Between("score", least=0, most=1.5)),
    )
    [(points, most, half)] = await store.ask(Figures(ACTIVITY_STATE, (), measures, activity(me)))
    assert (most, half) == (4.5, 2)
    assert points == pytest.approx(5.83)


async def test_a_text_is_whole_as_far_as_its_spec_has_room(store: Store) -> None:
    """Scores of 140 assessments are more than the 1024 bytes of other texts; the newest of them counts."""
    me = new()
    scores = {f"do_{n:022}": [n + 0.25, 100.0, 3, NOW_MS + n] for n in range(140)}
    text = orjson.dumps(scores).decode()
    text += " " * (LONGEST_SCORES - len(text))
    wide = "{}" + "\U0001f600" * ((LONGEST_SCORES - 2) // 4)
    events = [
        state(me, "ada", 1, scores="{}"),
        state(me, "ada", 2, scores=text),
        state(me, "ben", 1, scores=wide),
    ]
    await store.fill(
        ACTIVITY_STATE, [*events, state(me, "cyd", 2, scores=None), state(me, "cyd", 1, scores="{}")]
    )
    found = sorted(await store.ask(rows(("user_id", "scores"), me)), key=str)
    assert found == [("ada", text), ("ben", wide), ("cyd", None)]
    assert len(text.encode()) == LONGEST_SCORES == ACTIVITY_STATE.longest["scores"]


async def test_a_learner_counts_once_wherever_and_however_often_they_are(store: Store) -> None:
    """Ada is in two contexts and both states, ben in two contexts of North, cyd in South alone, dan nowhere."""
    me = new()
    told: list[tuple[str, str, str | None, int | None]]
    told = [("ada", "cb:1", "North", 1), ("ada", "cb:2", "South", 2), ("ben", "cb:1", "North", 2)]
    told += [("ben", "cb:2", "North", 2), ("cyd", "cb:2", "South", None), ("dan", "cb:1", None, 0)]
    events = [state(me, user, context_id=context, state=at, status=n) for user, context, at, n in told]
    await store.fill(ACTIVITY_STATE, events)
    learners = Measure("learners", Kind.DISTINCT, "user_id")
    done = Measure("done", Kind.DISTINCT, "user_id", OneOf("status", (2,)))
    most, points = Measure("most", Kind.MAX, "status"), Measure("points", Kind.SUM, "status")
    measures = (COUNT, learners, done, most, points)
    where = Between("state", least="")
    [everybody] = await store.ask(Figures(ACTIVITY_STATE, (), measures, activity(me), where))
    assert everybody == (5, 3, 2, 2, 7)
    order = (Order("learners", descending=True), Order("state"))
    by_state = Figures(ACTIVITY_STATE, ("state",), measures, activity(me), order=order)
    assert await store.ask(by_state) == [
        ("North", 3, 2, 1, 2, 5),
        ("South", 2, 2, 1, 2, 2),
        (None, 1, 1, 0, 0, 0),
    ]
    by_user = Figures(
        ACTIVITY_STATE, ("user_id",), (learners, COUNT), activity(me), where, (Order("user_id"),)
    )
    assert await store.ask(by_user) == [("ada", 1, 2), ("ben", 1, 2), ("cyd", 1, 1)]
    assert await store.ask(Figures(ACTIVITY_STATE, (), (learners, COUNT), activity(new()))) == [(0, 0)]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("gender",), "has no column gender"),
        ((None,), "a distinct of a column"),
        (("user_id", "context_id"), "of one column, not of context_id, user_id"),
    ],
)
async def test_distinct_values_are_of_one_column_of_the_key(
    store: Store, columns: tuple[str | None, ...], told: str
) -> None:
    measures = tuple(Measure(f"m{n}", Kind.DISTINCT, column) for n, column in enumerate(columns))
    with store.groups.meter.measure() as counts, pytest.raises(InvalidInput, match=told):
        await store.ask(Figures(ACTIVITY_STATE, (), measures))
    assert not counts


async def test_distinct_values_in_windows_of_another_column(store: Store) -> None:
    """Ada is active on three days in two courses, Ben on two, Cyd on one that was taken back.

    Windows: 1 and 2 January, 3 January. The 4th is in none. Of both courses: the first window has Ada and Ben, who were there
    twice each; the second has Ada. Of each course: one has Ada and Ben, then Ada; two has Ada, then nobody.
    """
    one, two = new(), new()
    first, second, third, fourth = (f"2026-01-0{number}" for number in range(1, 5))
    await store.fill(
        ACTIVITY_DAY,
        [
            *(active_day(one, "ada", day) for day in (first, second, third)),
            active_day(two, "ada", first),
            *(active_day(one, "ben", day) for day in (first, second, fourth)),
            active_day(one, "cyd", third),
            active_day(one, "cyd", third, 2, active=0),
            active_day(one, "ben", fourth),
        ],
    )
    windows = Windows("day", ((first, "a"), (second, "a"), (third, "b")))
    learners = Measure("learners", Kind.DISTINCT, "user_id")
    keys, where = (("collection_id", (one, two)),), OneOf("active", (1,))
    asked = Figures(ACTIVITY_DAY, ("day",), (learners,), keys, where, windows=windows)
    assert sorted(await store.ask(asked)) == [("a", 2), ("b", 1)]
    by_course = Figures(
        ACTIVITY_DAY, ("collection_id", "day"), (learners,), keys, where, windows=windows, limit=10
    )
    assert sorted(await store.ask(by_course)) == sorted([(one, "a", 2), (one, "b", 1), (two, "a", 1)])
    for column, wrong in (("active", "has no column active"), ("context_id", "the dimensions has no column")):
        with pytest.raises(InvalidInput, match=wrong):
            await store.ask(
                Figures(ACTIVITY_DAY, ("day",), (learners,), keys, windows=Windows(column, windows.names))
            )
    twice = Windows("day", ((first, "a"), (first, "b")))
    with pytest.raises(InvalidInput, match="in one window alone"):
        await store.ask(Figures(ACTIVITY_DAY, ("day",), (learners,), keys, windows=twice))


async def test_how_long_it_took_is_in_whole_units_and_never_less_than_nothing(store: Store) -> None:
    """A day less 1 ms, a day, ten days and a half; before it began; and one end that nobody knows."""
    me, day = new(), 86_400_000
    took = {"ada": day - 1, "ben": day, "cyd": 10 * day + day // 2, "dan": -5 * day, "eve": None}
    events = [
        state(me, user, enrolled_on=NOW_MS, completed_on=None if ms is None else NOW_MS + ms)
        for user, ms in took.items()
    ]
    await store.fill(ACTIVITY_STATE, [*events, state(me, "fay", completed_on=NOW_MS)])
    assert sorted(await store.ask(rows(("user_id", "days_to_complete", "seconds_to_complete"), me))) == [
        ("ada", 0, 86_399),
        ("ben", 1, 86_400),
        ("cyd", 10, 907_200),
        ("dan", 0, 0),
        ("eve", None, None),
        ("fay", None, None),
    ]
    by_days = Figures(
        ACTIVITY_STATE, ("days_to_complete",), (COUNT,), activity(me), order=(Order("days_to_complete"),)
    )
    assert await store.ask(by_days) == [(None, 2), (0, 2), (1, 1), (10, 1)]
    seconds = Measure("seconds", Kind.SUM, "seconds_to_complete")
    known = Measure("known", Kind.COUNT, where=Between("days_to_complete", least=0))
    # 86,399 + 86,400 + 907,200 + 0
    assert await store.ask(Figures(ACTIVITY_STATE, (), (seconds, known), activity(me))) == [(1_079_999, 4)]


async def test_of_nobody_a_count_is_0_and_sum_and_max_are_nothing(store: Store) -> None:
    sum_, most = Measure("sum", Kind.SUM, "time_spent"), Measure("max", Kind.MAX, "time_spent")
    assert await store.ask(Figures(ACTIVITY_STATE, (), (COUNT, sum_, most), activity(new()))) == [
        (0, None, None)
    ]
    assert await store.ask(Figures(ACTIVITY_STATE, ("state",), (COUNT, sum_), activity(new()))) == []
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, "ada", status=1), state(me, "bob", status=2, time_spent=0)])
    query = Figures(
        ACTIVITY_STATE, ("user_id",), (COUNT, sum_, most), activity(me), order=(Order("user_id"),)
    )
    assert await store.ask(query) == [("ada", 1, None, None), ("bob", 1, 0, 0)]
    none_of_them = Measure("sum", Kind.SUM, "time_spent", OneOf("status", (1,)))
    assert await store.ask(Figures(ACTIVITY_STATE, (), (none_of_them, most), activity(me))) == [(None, 0)]


async def test_nothing_is_a_group_by_itself_and_smaller_than_every_value(store: Store) -> None:
    me = new()
    told = [(None, None), ("", -5), ("a", 0), ("Z", None), (None, -7)]
    await store.fill(
        ACTIVITY_STATE, [state(me, f"u{n}", state=s, time_spent=t) for n, (s, t) in enumerate(told)]
    )
    most = Measure("most", Kind.MAX, "time_spent")

    async def ordered(*order: Order, limit: int | None = None) -> list[tuple[Value, ...]]:
        return await store.ask(
            Figures(ACTIVITY_STATE, ("state",), (COUNT, most), activity(me), order=order, limit=limit)
        )

    by_state = [(None, 2, -7), ("", 1, -5), ("Z", 1, None), ("a", 1, 0)]
    assert await ordered(Order("state")) == by_state
    assert await ordered(Order("state", descending=True)) == by_state[::-1]
    by_most = [("Z", 1, None), (None, 2, -7), ("", 1, -5), ("a", 1, 0)]
    assert await ordered(Order("most")) == by_most
    assert await ordered(Order("most", descending=True)) == by_most[::-1]
    assert await ordered(Order("most"), limit=2) == by_most[:2]
    assert await ordered(Order("most", descending=True), limit=1) == [("a", 1, 0)]
    by_count = await ordered(Order("n", descending=True), Order("state", descending=True))
    assert by_count == [(None, 2, -7), ("a", 1, 0), ("Z", 1, None), ("", 1, -5)]


async def test_numbers_are_ordered_by_size(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, f"u{n}", time_spent=n) for n in (9, 10, 100, 2)])
    query = Figures(ACTIVITY_STATE, ("time_spent",), (COUNT,), activity(me), order=(Order("time_spent"),))
    assert await store.ask(query) == [(2, 1), (9, 1), (10, 1), (100, 1)]
    between = Between("time_spent", 9, 10)
    assert sorted(await store.ask(rows(("user_id",), me, between))) == [("u10",), ("u9",)]


# U+1F600 is above U+FFEE, although its first half in UTF-16 is below.
BY_CODE_POINT = ["Z", "a", "é", "\uffee", "\U0001f600"]


@pytest.mark.parametrize("column", ["state", "user_id"])
async def test_texts_are_ordered_by_code_point(store: Store, column: str) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, text, state=text) for text in BY_CODE_POINT[::-1]])
    for descending in (False, True):
        order = (Order(column, descending),)
        query = Figures(ACTIVITY_STATE, (column,), (COUNT,), activity(me), order=order)
        assert [text for text, _ in await store.ask(query)] == BY_CODE_POINT[:: -1 if descending else 1]


@pytest.mark.parametrize("column", ["state", "user_id"])
async def test_a_range_of_texts_is_one_of_code_points(store: Store, column: str) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, text, state=text) for text in BY_CODE_POINT])
    for n, text in enumerate(BY_CODE_POINT):
        found = await store.ask(rows((column,), me, Between(column, least=text)))
        assert sorted(found) == [(each,) for each in BY_CODE_POINT[n:]], text
        found = await store.ask(rows((column,), me, Between(column, most=text, below=True)))
        assert sorted(found) == [(each,) for each in BY_CODE_POINT[:n]], text


DAYS_OF_ZONES = {
    "Europe/Berlin": {
        # Summer begins at 01:00Z on 29 March 2026: midnight before is 23:00Z, midnight after is 22:00Z.
        "2026-03-28T22:59:59.999Z": "2026-03-28",
        "2026-03-28T23:00:00Z": "2026-03-29",
        "2026-03-29T21:59:59.999Z": "2026-03-29",
        "2026-03-29T22:00:00Z": "2026-03-30",
        # It ends at 01:00Z on 25 October, a day of 25 hours.
        "2026-10-24T21:59:59.999Z": "2026-10-24",
        "2026-10-24T22:00:00Z": "2026-10-25",
        "2026-10-25T22:59:59.999Z": "2026-10-25",
        "2026-10-25T23:00:00Z": "2026-10-26",
    },
    # Half an hour off the full one, all year.
    "Asia/Kolkata": {"2026-12-31T18:29:59.999Z": "2026-12-31", "2026-12-31T18:30:00Z": "2027-01-01"},
}


@pytest.mark.parametrize("zone", DAYS_OF_ZONES)
async def test_a_day_begins_with_midnight_in_the_zone_of_the_query(store: Store, zone: str) -> None:
    me, days = new(), DAYS_OF_ZONES[zone]
    at = {moment: int(datetime.fromisoformat(moment).timestamp() * 1000) for moment in days}
    events = [state(me, moment, last_accessed_on=ms_) for moment, ms_ in at.items()]
    await store.fill(ACTIVITY_STATE, [*events, state(me, "never")])
    query = Figures(ACTIVITY_STATE, ("user_id", "last_accessed_day"), (COUNT,), activity(me), zone=zone)
    assert {user: day for user, day, _ in await store.ask(query)} == {**days, "never": None}


async def test_every_period_of_the_turn_of_the_year_by_the_clocks_of_kolkata(store: Store) -> None:
    """1 January 2027 is a Friday: the week is the 53rd of 2026, which has 53 Thursdays. There it begins at 18:30Z."""
    me = new()
    units = ("day", "week", "month", "quarter", "year")
    columns = tuple(f"completed_{unit}" for unit in units)
    new_year = ms(2026, 12, 31, 18, 30)
    told = {
        "old": new_year - 1,
        "new": new_year,
        "later": new_year + 2 * 86_400_000 + 86_399_999,
        "monday": new_year + 3 * 86_400_000,
    }
    await store.fill(ACTIVITY_STATE, [state(me, user, completed_on=at) for user, at in told.items()])
    asked = Figures(ACTIVITY_STATE, ("user_id", *columns), (COUNT,), activity(me), zone="Asia/Kolkata")
    assert {user: periods for user, *periods, _ in await store.ask(asked)} == {
        "old": ["2026-12-31", "2026-W53", "2026-12", "2026-Q4", "2026"],
        "new": ["2027-01-01", "2026-W53", "2027-01", "2027-Q1", "2027"],
        "later": ["2027-01-03", "2026-W53", "2027-01", "2027-Q1", "2027"],
        "monday": ["2027-01-04", "2027-W01", "2027-01", "2027-Q1", "2027"],
    }
    in_week = Figures(
        ACTIVITY_STATE,
        (),
        (COUNT,),
        activity(me),
        OneOf("completed_week", ("2026-W53",)),
        zone="Asia/Kolkata",
    )
    assert await store.ask(in_week) == [(3,)]


async def test_months_are_those_of_utc(store: Store) -> None:
    me = new()
    moments = {
        "last of the year": ms(2025, 12, 31, 23, 59, 59) + 999,
        "first of the year": ms(2026, 1, 1),
        "leap day": ms(2024, 2, 29, 12),
        "long ago": ms(1969, 12, 31, 23),
        "never": None,
    }
    await store.fill(
        ACTIVITY_STATE, [state(me, user, enrolled_on=at, completed_on=at) for user, at in moments.items()]
    )
    query = rows(("user_id", "enrolled_month", "completed_month"), me)
    assert {user: months for user, *months in await store.ask(query)} == {
        "last of the year": ["2025-12", "2025-12"],
        "first of the year": ["2026-01", "2026-01"],
        "leap day": ["2024-02", "2024-02"],
        "long ago": ["1969-12", "1969-12"],
        "never": [None, None],
    }
    by_month = Figures(
        ACTIVITY_STATE, ("completed_month",), (COUNT,), activity(me), order=(Order("completed_month"),)
    )
    assert await store.ask(by_month) == [
        (None, 1), ("1969-12", 1), ("2024-02", 1), ("2025-12", 1), ("2026-01", 1)
    ]  # fmt: skip
    since = Between("enrolled_month", "2025-12")
    assert len(await store.ask(rows(("user_id",), me, since))) == 2


@some
@given(where=wheres())
async def test_a_filter_finds_what_its_words_say(filled: Store, where: Where) -> None:
    query = rows(("user_id", "context_id", *VALUES), "fixed", where)
    found = await filled.ask(Rows(query.source, tuple(dict.fromkeys(query.columns)), query.keys, where))
    expected = answer(
        Rows(query.source, tuple(dict.fromkeys(query.columns)), query.keys, where), filled.fixed
    )
    assert Counter(found) == Counter(expected)


@some
@given(query=figures("fixed"))
async def test_figures_are_those_of_a_recount(filled: Store, query: Figures) -> None:
    assert await filled.ask(query) == answer(query, filled.fixed)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (OneOf("state", ()), []),
        (OneOf("state", ("North", "")), ["empty", "north"]),
        (OneOf("state", (None,)), ["nothing"]),
        (OneOf("state", ("North", None)), ["north", "nothing"]),
        (Not(OneOf("state", ("North",))), ["empty", "nothing"]),
        (Not(OneOf("state", (None,))), ["empty", "north"]),
        (Not(Not(OneOf("state", ("North",)))), ["north"]),
        (Between("status"), ["empty", "north"]),
        (Not(Between("status", 1)), ["empty", "nothing"]),
        (Between("status", 0, 2), ["empty", "north"]),
        (Between("status", 0, 2, above=True), ["north"]),
        (Between("status", 0, 2, below=True), ["empty"]),
        (Between("status", 2, 0), []),
        (All(()), ["empty", "north", "nothing"]),
        (Any(()), []),
        (Not(All(())), []),
        (Not(Any(())), ["empty", "north", "nothing"]),
        (All((OneOf("status", (0, 2)), OneOf("state", ("",)))), ["empty"]),
        (Any((OneOf("status", (None,)), OneOf("state", ("",)))), ["empty", "nothing"]),
    ],
)
async def test_filters_are_two_valued(store: Store, where: Where, found: list[str]) -> None:
    me = "two-valued"
    told: list[tuple[str, str | None, int | None]] = [
        ("north", "North", 2), ("empty", "", 0), ("nothing", None, None)
    ]  # fmt: skip
    if await store.ask(rows(("user_id",), me)) == []:
        await store.fill(ACTIVITY_STATE, [state(me, user, state=s, status=n) for user, s, n in told])
    assert sorted(await store.ask(rows(("user_id",), me, where))) == [(user,) for user in found]
    measure = Measure("n", Kind.COUNT, where=where)
    assert await store.ask(Figures(ACTIVITY_STATE, (), (measure,), activity(me))) == [(len(found),)]


async def test_keys_pick_rows(store: Store) -> None:
    mine, other = new(), new()
    await store.fill(
        ACTIVITY_STATE,
        [state(id_, user, context_id=c) for id_ in (mine, other) for user in "ab" for c in ("cb:1", "cb:2")],
    )

    async def counted(*keys: tuple[str, tuple[str, ...]]) -> Anything:
        ((count,),) = await store.ask(Figures(ACTIVITY_STATE, (), (COUNT,), keys))
        return count

    assert await counted(("activity_id", (mine,))) == 4
    assert await counted(("activity_id", (mine, other))) == 8
    assert await counted(("activity_id", (mine, other)), ("user_id", ("a",))) == 4
    assert await counted(("activity_id", (mine,)), ("context_id", ("cb:1",)), ("user_id", ("a", "c"))) == 1
    assert await counted(("activity_id", (mine,)), ("user_id", ())) == 0
    assert await counted(("activity_id", ())) == 0
    assert await store.ask(Rows(ACTIVITY_STATE, ("user_id",), (("activity_id", ()),))) == []


async def test_the_extent_of_a_filter_is_the_keys_that_it_has(store: Store) -> None:
    """Where a key is stored several times for the time being, more."""
    mine, other = new(), new()
    events = [state(id_, user) for id_ in (mine, other) for user in "abc"]
    await store.fill(ACTIVITY_STATE, [*events, state(mine, "a", version=2)])

    async def extent(*keys: tuple[str, tuple[str, ...]]) -> int:
        return await store.groups.extent(ACTIVITY_STATE, keys)

    assert 3 <= await extent(("activity_id", (mine,))) <= 4
    assert await extent(("activity_id", (other,))) == 3
    assert await extent(("activity_id", (other,)), ("context_id", ("cb:1",))) == 3
    assert await extent(("activity_id", (new(),))) == 0
    assert await extent() >= 6
    with pytest.raises(InvalidInput, match="no column nobody"):
        await extent(("nobody", ("x",)))


async def test_a_unit_has_a_row_in_each_collection_that_it_is_looked_at_in(store: Store) -> None:
    me = new()
    places = {"one": 1, "other": 2}
    await store.fill(
        ACTIVITY_STATE, [state(me, "ada", collection_id=place, status=n) for place, n in places.items()]
    )
    assert {*await store.ask(rows(("collection_id", "status"), me))} == {*places.items()}
    ((count,),) = await store.ask(
        Figures(ACTIVITY_STATE, (), (COUNT,), (("activity_id", (me,)), ("collection_id", ("one",))))
    )
    assert count == 1


async def test_a_limit_of_rows_is_kept(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, f"u{n}", status=n % 2) for n in range(20)])
    found = await store.ask(rows(("user_id",), me, OneOf("status", (1,)), limit=3))
    assert len({*found}) == 3
    assert {*found} <= {(f"u{n}",) for n in range(1, 20, 2)}
    assert len(await store.ask(rows(("user_id",), me, limit=50))) == 20


async def test_columns_come_in_the_order_asked_for(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, "ada", status=2, state="North", time_spent=7)])
    found = await store.groups.query(rows(("time_spent", "user_id", "state"), me), Lane.PAGES)
    assert (found.columns, [tuple(row) for row in found.rows]) == (
        ("time_spent", "user_id", "state"),
        [(7, "ada", "North")],
    )
    measures = (Measure("z", Kind.MAX, "status"), Measure("a", Kind.SUM, "time_spent"))
    found = await store.groups.query(
        Figures(ACTIVITY_STATE, ("state", "user_id"), measures, activity(me)), Lane.TABLES
    )
    assert (found.columns, [tuple(row) for row in found.rows]) == (
        ("state", "user_id", "z", "a"),
        [("North", "ada", 2, 7)],
    )
    assert found.complete


async def test_totals_are_a_source_like_states(store: Store) -> None:
    me = new()
    cells = [
        total(me, "", "", enrolled=5, completed=2),
        total(me, "state", "North", 7, enrolled=3, completed=2),
        total(me, "state", "North", 6, enrolled=9, completed=9),
        total(me, "state", "", enrolled=2, completed=0),
    ]
    await store.fill(ACTIVITY_TOTALS, cells)
    query = Figures(
        ACTIVITY_TOTALS,
        ("value",),
        (Measure("enrolled", Kind.SUM, "enrolled"),),
        (*activity(me), ("dimension", ("state",))),
        order=(Order("value"),),
    )
    assert await store.ask(query) == [("", 2), ("North", 3)]


@pytest.mark.parametrize(
    "query",
    [
        rows(("user_id", "colour"), "a"),
        rows(("user_id",), "a", Not(All((OneOf("colour", ("red",)),)))),
        rows(("user_id",), "a", Between("colour", 1)),
        Rows(ACTIVITY_STATE, ("user_id",), (("colour", ("red",)),)),
        Figures(ACTIVITY_STATE, ("colour",), (COUNT,)),
        Figures(ACTIVITY_STATE, (), (Measure("m", Kind.SUM, "colour"),)),
        Figures(ACTIVITY_STATE, (), (Measure("m", Kind.COUNT, where=OneOf("colour", (None,))),)),
        Figures(ACTIVITY_STATE, ("state",), (COUNT,), order=(Order("colour"),)),
    ],
)
async def test_a_column_that_does_not_exist_is_named(store: Store, query: Query) -> None:
    with store.groups.meter.measure() as counts, pytest.raises(InvalidInput, match="colour"):
        await store.groups.query(query, Lane.TABLES)
    assert not counts


async def test_names_are_never_taken_for_statements(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, "ada", status=2)])
    name = '"; DROP TABLE "activity-state"; --'
    found = await store.groups.query(
        Figures(
            ACTIVITY_STATE, ("user_id",), (Measure(name, Kind.COUNT),), activity(me), order=(Order(name),)
        ),
        Lane.TABLES,
    )
    assert (found.columns, [tuple(row) for row in found.rows]) == (("user_id", name), [("ada", 1)])
    with pytest.raises(InvalidInput):
        await store.ask(rows((name,), me))
    assert await store.ask(rows(("user_id",), me, OneOf("user_id", (name, "' OR 1=1 --")))) == []


# --- how it answers


async def test_fifty_at_once_get_their_own_answers(store: Store) -> None:
    me = new()
    await store.fill(ACTIVITY_STATE, [state(me, f"u{n}", time_spent=n) for n in range(50)])
    queries = [rows(("user_id", "time_spent"), me, OneOf("time_spent", (n,))) for n in range(50)]
    lanes = [Lane.PAGES, Lane.TABLES]
    found = await asyncio.gather(*(store.ask(query, lanes[n % 2]) for n, query in enumerate(queries)))
    assert found == [[(f"u{n}", n)] for n in range(50)]


async def test_queries_are_counted_by_source(store: Store) -> None:
    with store.groups.meter.measure() as counts:
        await store.ask(rows(("user_id",), new()))
        await store.ask(rows(("user_id",), new()))
        await store.ask(Figures(ACTIVITY_TOTALS, (), (COUNT,), activity(new())))
    assert counts == {"activity-state": 2, "activity-totals": 1}


async def test_a_request_that_is_out_of_time_says_so_and_the_next_one_is_answered(store: Store) -> None:
    with deadline(0), pytest.raises(DeadlineExceeded):
        await store.ask(rows(("user_id",), new()))
    assert await store.ask(rows(("user_id",), new())) == []


async def test_a_cancelled_query_ends_and_takes_no_others_with_it(filled: Store) -> None:
    query = Figures(ACTIVITY_STATE, ("state",), (COUNT,), activity("fixed"))
    asked = [asyncio.create_task(filled.ask(query)) for _ in range(12)]
    for n, task in enumerate(asked):
        await asyncio.sleep(0.002)
        if n % 2:
            task.cancel()
    results = await asyncio.gather(*asked, return_exceptions=True)
    for n, result in enumerate(results):
        if n % 2 == 0:
            assert isinstance(result, list)
            assert Counter(result) == Counter(answer(query, filled.fixed))
        else:
            assert isinstance(result, list | asyncio.CancelledError)
    assert Counter(await filled.ask(query)) == Counter(answer(query, filled.fixed))


@pytest.mark.parametrize(
    "url", ["duckdb:///no/such/folder/groups.duckdb", "druid://127.0.0.1:1?kafka=127.0.0.1:1"]
)
async def test_an_engine_that_is_away_is_a_typed_error(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    urls = embedded_urls() | {"groups": url}
    async with open_stores(links=None, copies=MOST, data=tmp_path_factory.mktemp("away"), **urls) as stores:
        for call in (stores.groups.ping(), stores.groups.query(rows(("user_id",), "a"), Lane.PAGES)):
            with pytest.raises(StoreUnavailable):
                await call
