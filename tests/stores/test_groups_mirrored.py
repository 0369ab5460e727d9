"""The mirror of Druid's states: exact whatever the log has forgotten and wherever the process dies, and never in the way.

The engine behind it is a DuckDB file of its own here, which tells what it "has stored" as Druid does. Druid itself is in
test_groups_contract.py and test_groups_druid.py.
"""

import asyncio
import copy
import logging
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE, DataSource
from rules.errors import StoreUnavailable
from stores import duckdb_feed, groups_mirrored
from stores.duckdb_file import DuckFile
from stores.events import Message, Record
from stores.events_embedded import EmbeddedConsumer, EmbeddedEvents
from stores.groups import GONE, Figures, Groups, Kind, Lane, Measure, OneOf, Rows
from stores.groups_duckdb import DuckGroups
from stores.groups_mirrored import MirroredGroups
from stores.topics import STATES, TOPICS
from tests.conftest import examples
from tests.stores.groups_data import Event, message, state
from tests.stores.test_groups_duckdb import HOLD, values_in

pytestmark = pytest.mark.long

COUNTING = OneOf("active", (1,))
"""As tables count: a key that has ended counts for nothing."""
COLUMNS = ("activity_id", "user_id", "status", "time_spent")
EACH = Rows(ACTIVITY_STATE, COLUMNS, where=COUNTING)
TOTAL = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),), where=COUNTING)


class Original(DuckGroups):
    """An engine with something in store: a portion for each list. ``portions`` may be an error, for a part that is away."""

    lags = True
    pace = 1
    portions: Sequence[list[Event] | Exception] = ()

    async def stored(self, source: DataSource) -> AsyncIterator[list[Event]]:
        assert source.name == ACTIVITY_STATE.name
        for portion in self.portions:
            if isinstance(portion, Exception):
                raise portion
            yield portion


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_feed, "WAIT", 0.01)
    monkeypatch.setattr(duckdb_feed, "ROUND", 0.05)
    monkeypatch.setattr(groups_mirrored, "FIRST_PAUSE", 0.01)


@asynccontextmanager
async def log_in(folder: Path, name: str = "events.db") -> AsyncIterator[EmbeddedEvents]:
    events = await EmbeddedEvents.open(folder / name)
    await events.init(TOPICS)
    yield events
    await events.close()


@asynccontextmanager
async def mirrored(
    folder: Path, events: EmbeddedEvents, *portions: list[Event] | Exception, most: int = 1_000_000
) -> AsyncIterator[MirroredGroups]:
    """The log of the original is another one, which the mirror never reads: so answers tell who gave them."""
    async with log_in(folder, "others.db") as others:
        original = await Original.open(folder / "original.duckdb", others)
        original.portions = portions
        groups = await MirroredGroups.open(original, events, folder / "mirror.duckdb", most=most)
        try:
            yield groups
        finally:
            await groups.close()


async def asked(groups: Groups, query: Rows | Figures = EACH, lane: Lane = Lane.TABLES) -> list[Any]:
    return sorted((tuple(row) for row in (await groups.query(query, lane)).rows), key=str)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.01)


async def current(groups: MirroredGroups) -> None:
    """Returns when the mirror answers with all that is in the log by now, as it says itself."""
    begun = time.monotonic()

    async def is_current() -> bool:
        await asked(groups)
        feed = groups._feed
        return groups.is_current and feed is not None and feed.age < time.monotonic() - begun

    await until(is_current)


def active(user: str, version: int, **latest: Any) -> Event:
    return state("a", user, version, **{"active": 1, "status": 0, "time_spent": version, **latest})


def gone(user: str, version: int) -> Message:
    told = message(ended(user, version))
    return Message(told.key, told.value, GONE)


def ended(user: str, version: int) -> Event:
    """What Druid has of a key that has ended: a row that counts for nothing."""
    return state("a", user, version, active=0, status=0)


# --- exact


class Death:
    """Stops a process for good at the n-th place where it could die: before and after each write of the mirror's file and each
    commit."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = asyncio.Event()

    async def passes(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.came.set()
            await asyncio.Future()


@asynccontextmanager
async def dying(at: int) -> AsyncIterator[Death]:
    death = Death(at)
    write, commit = DuckFile.write, EmbeddedConsumer.commit

    async def writes(self: DuckFile, work: Callable[..., Any]) -> Any:
        if self._path.name != "mirror.duckdb":
            return await write(self, work)
        await death.passes()
        done = await write(self, work)
        await death.passes()
        return done

    async def commits(self: EmbeddedConsumer, records: Sequence[Record]) -> bool:
        await death.passes()
        done = await commit(self, records)
        await death.passes()
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckFile, "write", writes)
        patch.setattr(EmbeddedConsumer, "commit", commits)
        yield death


Told = tuple[str, int, bool]
"""A learner, a version, and whether the key ends with it."""


def told() -> st.SearchStrategy[list[Told]]:
    """What was said of a few learners, each version once: in the order of versions."""
    return st.dictionaries(
        st.tuples(st.sampled_from(["u0", "u1", "u2", "u3"]), st.integers(1, 5)),
        st.booleans(),
        min_size=2,
        max_size=12,
    ).map(lambda known: sorted((user, version, ends) for (user, version), ends in known.items()))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Told], list[Told], list[Told]]:
    """What was said, the part that the engine has stored, and what the log still has, in the order of arrival: shuffled, some
    of it twice or more. What is in neither was never said."""
    everything = draw(told())
    places = draw(st.lists(st.integers(0, 2), min_size=len(everything), max_size=len(everything)))
    stored = [each for each, place in zip(everything, places, strict=True) if place != 1]
    logged = [each for each, place in zip(everything, places, strict=True) if place != 0]
    again = draw(st.lists(st.sampled_from(logged), max_size=6)) if logged else []
    return everything, draw(st.permutations(stored)), draw(st.permutations(logged + again))


def expected(everything: Sequence[Told]) -> list[tuple[Any, ...]]:
    last = {user: (version, ends) for user, version, ends in sorted(everything)}
    return [("a", user, 0, version) for user, (version, ends) in sorted(last.items()) if not ends]


@settings(
    max_examples=examples(100, quickly=5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories(), st.lists(st.integers(0, 14), max_size=2), st.integers(1, 3))
async def test_totals_are_exact_whatever_the_log_has_forgotten_and_wherever_the_process_dies(
    history: tuple[list[Told], list[Told], list[Told]], deaths: list[int], most: int
) -> None:
    everything, stored, logged = history
    events_stored = [ended(user, v) if ends else active(user, v) for user, v, ends in stored]
    portions = [events_stored[start : start + 3] for start in range(0, len(events_stored), 3)]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(groups_mirrored, "MOST", most)
        folder = Path(name)
        async with log_in(folder) as events:
            messages = [gone(user, v) if ends else message(active(user, v)) for user, v, ends in logged]
            half = len(messages) // 2
            await events.send(STATES.name, *messages[:half])
            for at in deaths:
                async with dying(at) as death, mirrored(folder, events, *portions) as groups:
                    alive = asyncio.create_task(current(groups))
                    dead = asyncio.create_task(death.came.wait())
                    await asyncio.wait({alive, dead}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
                    for task in (alive, dead):
                        task.cancel()
                    await asyncio.gather(alive, dead, return_exceptions=True)
            async with mirrored(folder, events, *portions) as groups:
                await current(groups)
                await events.send(STATES.name, *messages[half:])
                await current(groups)
                right = expected(everything)
                assert await asked(groups) == right
                assert await asked(groups, TOTAL) == [(len(right),)]


async def test_what_comes_late_or_again_changes_nothing(tmp_path: Path) -> None:
    async with (
        log_in(tmp_path) as events,
        mirrored(tmp_path, events, [active("u", 3)], [active("u", 1)]) as groups,
    ):
        for version in (4, 2, 5, 4, 5, 1):
            await events.send(STATES.name, message(active("u", version)))
            await current(groups)
        assert await asked(groups) == [("a", "u", 0, 5)]


async def test_the_mirror_is_not_younger_than_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_mirrored, "MOST", 1)
    async with log_in(tmp_path) as events, mirrored(tmp_path, events) as groups:
        await current(groups)
        for last in (40, 80):
            await events.send(STATES.name, *(message(active("u", last - n)) for n in range(39, -1, -1)))
            await current(groups)
            assert await asked(groups) == [("a", "u", 0, last)]


async def test_what_the_log_has_forgotten_is_taken_from_what_is_stored(tmp_path: Path) -> None:
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("old", 1)]) as groups:
        await events.send(STATES.name, message(active("new", 2)))
        await current(groups)
        assert await asked(groups) == [("a", "new", 0, 2), ("a", "old", 0, 1)]


async def test_a_store_that_breaks_off_is_read_again_and_a_filled_file_is_not_filled_again(
    tmp_path: Path,
) -> None:
    broken: list[list[Event] | Exception] = [[active("one", 1)], StoreUnavailable("the answer broke off")]
    async with log_in(tmp_path) as events:
        async with mirrored(tmp_path, events, *broken) as groups:
            assert isinstance(groups.original, Original)
            await asked(groups)
            await asyncio.sleep(0.1)
            assert not groups.is_current
            groups.original.portions = [[active("one", 1)], [active("two", 2)]]
            await current(groups)
            assert await asked(groups) == [("a", "one", 0, 1), ("a", "two", 0, 2)]
        async with mirrored(tmp_path, events, StoreUnavailable("nobody asks")) as groups:
            await current(groups)
            assert len(await asked(groups)) == 2


async def test_a_file_that_slept_for_longer_than_the_log_remembers_is_filled_anew(tmp_path: Path) -> None:
    async with log_in(tmp_path) as events:
        async with mirrored(tmp_path, events, [active("one", 1)]) as groups:
            await current(groups)
        with duckdb.connect(str(tmp_path / "mirror.duckdb")) as connection:
            connection.execute("UPDATE fed SET noted = noted - 25 * 86400")
        async with mirrored(tmp_path, events, [active("one", 1), active("two", 2)]) as groups:
            await current(groups)
            assert await asked(groups) == [("a", "one", 0, 1), ("a", "two", 0, 2)]


def older_state() -> DataSource:
    """The source as a version knew it that had no ``status``."""
    supervisor = copy.deepcopy(dict(ACTIVITY_STATE.supervisor))
    schema = supervisor["spec"]["dataSchema"]
    schema["metricsSpec"] = [metric for metric in schema["metricsSpec"] if metric["name"] != "status"]
    return replace(ACTIVITY_STATE, supervisor=supervisor)


def told_by_older(user: str, version: int) -> Event:
    return {name: value for name, value in active(user, version).items() if name != "status"}


@asynccontextmanager
async def mirrored_by_older(
    folder: Path, events: EmbeddedEvents, *portions: list[Event]
) -> AsyncIterator[MirroredGroups]:
    """The mirror as that version keeps it."""
    older = older_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups_mirrored, "ACTIVITY_STATE", older)
        async with mirrored(folder, events, *portions) as groups:
            yield groups


async def current_of_older(groups: MirroredGroups, *expected: tuple[str, int]) -> None:
    query = Rows(groups._mirror._sources[0], ("user_id", "time_spent"), where=COUNTING)

    async def has() -> bool:
        return await asked(groups, query) == [*expected] and groups.is_current

    await until(has)


async def test_a_column_that_an_older_version_did_not_know_is_not_shown_beside_what_that_wrote(
    tmp_path: Path,
) -> None:
    """Upgraded, taken back, and upgraded again."""
    async with log_in(tmp_path) as events:
        await events.send(STATES.name, message(active("u", 1, status=2)), message(active("v", 1, status=2)))
        async with mirrored(tmp_path, events) as groups:
            await current(groups)
            assert await asked(groups) == [("a", "u", 2, 1), ("a", "v", 2, 1)]
        await events.send(STATES.name, message(told_by_older("u", 2)))
        async with mirrored_by_older(tmp_path, events) as groups:
            await current_of_older(groups, ("u", 2), ("v", 1))
        async with mirrored(tmp_path, events) as groups:
            await current(groups)
            assert await asked(groups) == [("a", "u", None, 2), ("a", "v", 2, 1)]


@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "awake"])
async def test_a_file_of_an_older_version_gets_the_columns_that_were_sent_meanwhile(
    tmp_path: Path, asleep: bool
) -> None:
    """The states were sent again with a new column, at the versions that they had. The log has forgotten them since."""
    stored = [active("u", 1, status=2)]
    async with log_in(tmp_path) as events:
        async with mirrored_by_older(tmp_path, events, [told_by_older("u", 1)]) as groups:
            await current_of_older(groups, ("u", 1))
        if asleep:
            with duckdb.connect(str(tmp_path / "mirror.duckdb")) as connection:
                connection.execute("UPDATE fed SET noted = noted - 25 * 86400")
        async with mirrored(tmp_path, events, stored) as groups:
            await current(groups)
            assert await asked(groups) == [("a", "u", 2, 1)]
    assert await asyncio.to_thread(values_in, tmp_path / "mirror.duckdb") >= {"u", "2"}


async def test_a_state_that_comes_again_with_a_column_more_has_it_then_whatever_else_comes_again(
    tmp_path: Path,
) -> None:
    async with log_in(tmp_path) as events, mirrored(tmp_path, events) as groups:
        for told_again in (told_by_older("u", 1), active("u", 1, status=2), told_by_older("u", 1)):
            await events.send(STATES.name, message(told_again))
            await current(groups)
        assert await asked(groups) == [("a", "u", 2, 1)]
        # In one batch, too.
        some = (told_by_older("v", 1), active("v", 1, status=1), told_by_older("v", 1))
        await events.send(STATES.name, *map(message, some))
        await current(groups)
        assert await asked(groups) == [("a", "u", 2, 1), ("a", "v", 1, 1)]
        await events.send(STATES.name, message(told_by_older("u", 2)))
        await current(groups)
        assert await asked(groups) == [("a", "u", None, 2), ("a", "v", 1, 1)]


async def test_of_an_erased_learner_nothing_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mirror.duckdb"
    kept, name = active("bob", 1), "VERY-DISTINCT"
    async with (
        log_in(tmp_path) as events,
        mirrored(tmp_path, events, [active(name, 1), kept], [ended(name, 2)]) as groups,
    ):
        await current(groups)
        await events.send(STATES.name, gone(name, 2))
        await current(groups)
        assert await asked(groups) == [("a", "bob", 0, 1)]
    assert not any(name in value for value in values_in(path))


async def test_a_file_that_begins_anew_is_still_to_be_cleaned_of_an_erased_learner(tmp_path: Path) -> None:
    """The program of before removed the rows and ended before it wrote the file anew. It noted no columns."""
    path, kept, name = tmp_path / "mirror.duckdb", active("bob", 1), "VERY-DISTINCT"
    async with log_in(tmp_path) as events:
        async with mirrored(tmp_path, events, [active(name, 1), kept]) as groups:
            await current(groups)
        with duckdb.connect(str(path)) as connection:
            connection.execute("DROP TABLE made")
            connection.execute("CREATE TABLE IF NOT EXISTS unclean (due BOOLEAN)")
            connection.execute("INSERT INTO unclean VALUES (TRUE)")
        async with mirrored(tmp_path, events, [kept]) as groups:
            await current(groups)
    assert not any(name in value for value in values_in(path))


async def test_a_filling_that_was_cut_off_begins_anew_with_the_next_process(tmp_path: Path) -> None:
    """What the first one had, and the log told to be gone, may be forgotten by the log since."""
    async with log_in(tmp_path) as events:
        async with mirrored(tmp_path, events, [active("left", 1)]) as groups:
            await current(groups)
        with duckdb.connect(str(tmp_path / "mirror.duckdb")) as connection:
            connection.execute("DELETE FROM fed")  # as if it had not ended
        async with mirrored(tmp_path, events, [active("bob", 1)]) as groups:
            await current(groups)
            assert await asked(groups) == [("a", "bob", 0, 1)]


# --- never in the way


async def in_original(folder: Path, *users: str) -> None:
    """Puts states into the log of the original, which the mirror never reads."""
    async with log_in(folder, "others.db") as others:
        await others.send(STATES.name, *(message(active(user, 1)) for user in users))


async def test_druid_answers_until_the_mirror_has_everything(tmp_path: Path) -> None:
    await in_original(tmp_path, "d")
    async with (
        log_in(tmp_path) as events,
        mirrored(tmp_path, events, StoreUnavailable("a part is away")) as groups,
    ):
        assert isinstance(groups.original, Original)
        assert await asked(groups) == [("a", "d", 0, 1)]
        assert (groups.pace_of(ACTIVITY_STATE), await groups.extent(ACTIVITY_STATE, ())) == (1, 1)
        groups.original.portions = [[active("m", 1), active("n", 1)]]
        await current(groups)
        assert await asked(groups) == [("a", "m", 0, 1), ("a", "n", 0, 1)]
        assert (groups.pace_of(ACTIVITY_STATE), await groups.extent(ACTIVITY_STATE, ())) == (
            DuckGroups.pace,
            2,
        )
        assert groups.pace_of(ACTIVITY_DAY) == 1, "of days it has nothing"
        assert await asked(groups, lane=Lane.PAGES) == [("a", "d", 0, 1)], "pages go to Druid"


async def test_a_mirror_that_lags_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_original(tmp_path, "d")
    monkeypatch.setattr(groups_mirrored, "OLDEST", 0.3)
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)]) as groups:
        await current(groups)

        async def away(*_: object) -> None:
            raise StoreUnavailable("the log is away")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EmbeddedConsumer, "ahead", away)
            await until(lambda: _is(groups, "d"))
        await until(lambda: _is(groups, "m"))


async def _is(groups: MirroredGroups, user: str) -> bool:
    return await asked(groups) == [("a", user, 0, 1)]


async def test_a_mirror_that_fails_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await in_original(tmp_path, "d")
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)]) as groups:
        await current(groups)

        async def fails(*_: object) -> None:
            raise StoreUnavailable("the disk is gone")

        monkeypatch.setattr(groups._mirror, "query", fails)
        with caplog.at_level(logging.WARNING):
            assert await asked(groups) == [("a", "d", 0, 1)]
        assert "the disk is gone" in caplog.text


async def test_a_second_process_on_the_same_folder_asks_druid(tmp_path: Path) -> None:
    await in_original(tmp_path, "d")
    path = str(tmp_path / "mirror.duckdb")
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, path, stdin=PIPE, stdout=PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"open\n"
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)]) as groups:
        for _ in range(3):
            assert await asked(groups) == [("a", "d", 0, 1)]
            await asyncio.sleep(0.02)
        await other.communicate(b"")
        await current(groups)
        assert await asked(groups) == [("a", "m", 0, 1)]


async def test_a_mirror_of_too_many_states_is_fed_no_more_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No file is left, which an erasure would not reach. It is looked again now and then: once the states are few enough, it is made
    anew."""
    monkeypatch.setattr(groups_mirrored, "NOTING", 0.02)
    removed, remove = 0, DuckGroups.remove

    async def counted(self: DuckGroups) -> None:
        nonlocal removed
        await remove(self)
        assert not (tmp_path / "mirror.duckdb").exists()
        removed += 1

    monkeypatch.setattr(DuckGroups, "remove", counted)
    await in_original(tmp_path, "d")
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)], most=2) as groups:
        await current(groups)
        assert await asked(groups) == [("a", "m", 0, 1)]
        with caplog.at_level(logging.WARNING):
            await events.send(STATES.name, *(message(active(user, 1)) for user in ("n", "o")))

            async def is_removed_again() -> bool:
                await asked(groups)
                return removed >= 3

            await until(is_removed_again)
        assert await asked(groups) == [("a", "d", 0, 1)]
        (said,) = [one for one in caplog.messages if "too many states" in one]
        assert "3, and the URL says at most 2" in said
        groups._most = 3
        await current(groups)
        assert await asked(groups) == [("a", user, 0, 1) for user in ("m", "n", "o")]


async def test_queries_under_way_are_answered_before_the_mirror_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_mirrored, "NOTING", 0.02)
    await in_original(tmp_path, "d")
    async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)]) as groups:
        await current(groups)
        begun, may_end, done = asyncio.Event(), asyncio.Event(), list[str]()
        query, remove = groups._mirror.query, groups._mirror.remove

        async def slow(*asked: Any) -> Any:
            begun.set()
            await may_end.wait()
            answer = await query(*asked)
            done.append("answered")
            return answer

        async def noted() -> None:
            done.append("removed")
            await remove()

        monkeypatch.setattr(groups._mirror, "query", slow)
        monkeypatch.setattr(groups._mirror, "remove", noted)
        asking = asyncio.create_task(asked(groups))
        await begun.wait()
        groups._most = 0

        async def is_over() -> bool:
            return not groups.is_current

        async def is_removed() -> bool:
            return "removed" in done

        await until(is_over)
        may_end.set()
        assert await asking == [("a", "m", 0, 1)]
        await until(is_removed)
        assert done[0] == "answered"
        assert await asked(groups) == [("a", "d", 0, 1)]


async def test_with_more_states_than_the_url_says_there_is_no_mirror(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await in_original(tmp_path, "d", "e")
    with caplog.at_level(logging.WARNING):
        async with log_in(tmp_path) as events, mirrored(tmp_path, events, [active("m", 1)], most=1) as groups:
            await asked(groups)

            async def is_told() -> bool:
                return "too many states" in caplog.text

            await until(is_told)
            assert await asked(groups) == [("a", "d", 0, 1), ("a", "e", 0, 1)]
    assert not (tmp_path / "mirror.duckdb").exists()
