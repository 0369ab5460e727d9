"""After an erasure no file of any store contains the learner: looked for in the bytes, and in every value that is stored."""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.assessments import AssessmentCall, submit_assessment
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.group_members import leave_group, visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.erasure import erase_learner
from ingest.jobs.reconcile import reconcile
from ingest.jobs.runner import Jobs
from loaders.attempts import attempt_of
from resolvers.group_activities import group_activities
from resolvers.summaries import download
from rules.attempts import Attempt, Question
from rules.exhausts import ExhaustKind
from rules.group_changes import AddMember, RemoveMember
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.summaries import SummaryFormat
from rules.tracking import TrackingMode
from rules.viewers import Role
from rules.views import ViewChange
from stores.events import Message
from stores.groups import Lane, Rows
from stores.tables import (
    ACTIVITY_AGGREGATES,
    AGGREGATES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    ENROLMENTS,
    ERASURES,
    VIEWS,
)
from stores.topics import ACTIVE_DAYS, ASSESSMENTS, DEAD_LETTERS, LEARNER_CHANGES, PROFILES, STATES, TRIGGERS
from tests.archived_files import archive_questions
from tests.attempts import store_attempt
from tests.conftest import LEAF, NOW, Instance, embedded_urls, instance_of
from tests.ingest.exhausts import call as exhaust_of
from tests.ingest.exhausts import written

ANN, BOB = "learner-ZQXJ-9137", "learner-KVWY-2846"
"""Nothing else in the world is called so."""
SECRET = "NOTE-OF-{}-IN-{}-HERE"
OF_LEARNERS = {
    *(VIEWS.name, ENROLMENTS.name, AGGREGATES.name, ATTEMPTS.name, ATTEMPTS_WITH_QUESTIONS.name),
    *(ACTIVITY_STATE.stored_as, ACTIVITY_DAY.stored_as, "records"),
}
"""Tables of the three databases in which learners are, each in a place."""
LEARNER_INDEX = "search-learners.db"
ARCHIVE = "file of the archive"
ALWAYS = '{"rules": [{"type": "always"}]}'


async def world(instance: Instance, static: Path) -> None:
    """Two batches of the course, a content by itself, copies of completions elsewhere; Ann and Bob, worked in."""
    instance.track(TrackingMode.COPY, ALWAYS)
    await instance.publish()
    await instance.batch()
    await instance.batch("batch-2")
    await instance.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    for user in (ANN, BOB):
        await live(instance, user)
    for context in ("batch", "batch-2"):
        await archive_questions(
            instance.shared, context, which=lambda one: one.attempt.attempt_id == "attempt"
        )
    found = await instance.shared.archived_questions.load(await attempts_of(instance, ANN))
    assert len(found) == 2  # so that this machine has copies of the files
    await at_work(instance, static)
    for context in ("batch", "batch-2"):
        for kind in ExhaustKind:
            await written(instance, exhaust_of(kind, context=context))


async def attempts_of(instance: Instance, user: str) -> list[Attempt]:
    rows = await instance.stores.rows.partition(ATTEMPTS, (user, "course"))
    return [attempt_of(row) for row in rows]


async def live(instance: Instance, user: str) -> None:
    """Everything that a learner can do, and what is done with them."""
    session, service = instance.session(user), instance.session()
    await save_profile(session, ProfileCall(f"Name of {user}", {"district": "Pune"}))
    for context, leaf in (("batch", "a"), ("batch-2", "c")):
        await enrol(session, EnrolmentCall("course", context))
        place = ("course", context)
        await start_view(session, ViewCall(leaf, *place))
        note = ViewChange(NOW, progress_details={"note": SECRET.format(user, context)})
        await update_view(session, ViewCall(leaf, *place), note)
        await end_view(session, ViewCall(leaf, *place), ViewChange(NOW))
        await submit_assessment(session, AssessmentCall("b", *place))
        question = Question("q1", NOW, 1.0, 1.0, answers=[{"1": SECRET.format(user, context)}])
        for attempt in ("attempt", "live"):
            key = ViewKey(user, *place, "b")
            await store_attempt(instance.shared, key, attempt, 1.0, 1.0, NOW, questions=[question])
    for call in (ViewCall("b", "course"), ViewCall("alone")):
        await start_view(session, call)
        await end_view(session, call, ViewChange(NOW))
    await create_group(session, NewGroup("Own", members=(AddMember("friend"), AddMember("former"))))
    own = (await groups(instance, user))[0]
    await update_group(session, GroupCall(own, {"name": "Changed"}, members=(RemoveMember("former"),)))
    members = (AddMember(user), AddMember("friend"))
    activities = (Activity("course", "Course"), Activity("unit-1", "CourseUnit"))
    for name in ("class", "left"):
        new = NewGroup(name, members=members, activities=activities, group_id=f"{name}-{user[8:12]}")
        await create_group(service, new)
    await visit_groups(session, [f"class-{user[8:12]}"])
    await leave_group(session, f"left-{user[8:12]}")
    await download(session, user, SummaryFormat.CSV)
    await instance.stores.events.send(TRIGGERS.name, Message(user, b"no trigger"))
    broken = {"kind": "view", "userId": user, "collectionId": "nowhere", "contextId": "nowhere"}
    await instance.stores.events.send(TRIGGERS.name, Message(user, orjson.dumps(broken)))
    profile = {"userId": user, "updatedOn": NOW.isoformat(), "name": f"Name of {user}"}
    await instance.stores.events.send(PROFILES.name, Message(user, orjson.dumps(profile)))


async def groups(instance: Instance, user: str) -> list[str]:
    session = instance.session(user)
    found, _ = await session.loaders.groups_of.load((user, None, 20))
    return [group.group_id for group, _ in found]


async def at_work(instance: Instance, static: Path) -> None:
    """Workers, learner indexers, the aggregation, a group query and the pages of groups."""
    await instance.drain()
    await instance.index_learners()
    await aggregate(instance.shared, static=static)
    await instance.stores.groups.query(Rows(ACTIVITY_STATE, ("user_id",)), Lane.PAGES)
    mentor = instance.session("mo", Role.MENTOR)
    for group in await mentor.loaders.groups.load_many(["class-ZQXJ", "class-KVWY"]):
        if group is not None:
            await group_activities(mentor, group)
    await instance.shared.background.settled()


def files_with(folder: Path, name: str) -> dict[str, int]:
    """How often the bytes of a file have it, by the file's path, which is looked at too."""
    found: dict[str, int] = {}
    for path in folder.rglob("*"):
        count = str(path).count(name)
        if path.is_file():
            count += path.read_bytes().count(name.encode())
        if count:
            found[path.relative_to(folder).as_posix()] = count
    return found


def unpacked(value: Any) -> Any:
    """What a compressed value holds."""
    if isinstance(value, bytes):
        try:
            return zlib.decompress(value)
        except zlib.error:
            return value
    return str(value).encode()


def values(data: Path) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Every row of every table of the databases, and of every file of the archive and copy of one."""
    for file in ("rows.db", "events.db", LEARNER_INDEX):
        with sqlite3.connect(data / file) as lite:
            for (name,) in lite.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in lite.execute(f'SELECT * FROM "{name}"'):
                    yield name, [unpacked(value) for value in row]
        lite.close()
    with duckdb.connect() as memory:
        for path in (*data.rglob("*.parquet"), *data.rglob("*.part")):
            for row in memory.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall():
                yield ARCHIVE, [unpacked(value) for value in row]
    with duckdb.connect(str(data / "groups.duckdb"), read_only=True) as duck:
        for (name,) in duck.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            for row in duck.execute(f'SELECT * FROM "{name}"').fetchall():
                yield name, [unpacked(value) for value in row]


def rows_with(data: Path, *names: str) -> dict[str, int]:
    """By table, how many of its rows hold all of these names."""
    found: dict[str, int] = {}
    for table, row in values(data):
        if all(any(name.encode() in value for value in row) for name in names):
            found[table] = found.get(table, 0) + 1
    return found


@pytest.mark.parametrize("as_job", [False, True])
async def test_no_file_contains_an_erased_learner_but_for_the_watermark(
    tmp_path: Path, *, as_job: bool
) -> None:
    data, static = tmp_path / "data", tmp_path / "static"
    async with instance_of(embedded_urls(), data) as instance:
        await world(instance, static)
        assert (await reconcile(instance.shared, user_id=ANN)).checked == 3
        await at_work(instance, static)
        before = [await told(instance, BOB), await log_of(instance, BOB)]
        assert len(before[1]) > 20
        assert len(files_with(data / "blobs" / "test" / "exhausts", ANN)) == 4
        instance.sets_clock(NOW + timedelta(minutes=1))
        if as_job:
            await erase_learner(instance.shared, ANN)
        else:
            assert (await erase(instance.session(ANN), ErasureCall())).done
        await at_work(instance, static)
        await instance.arrived(within=30)
        assert [await told(instance, BOB), await log_of(instance, BOB)] == before
        kinds = {job.kind for job in await Jobs(instance.shared).list()}
        assert kinds == ({"exhaust", "erase"} if as_job else {"exhaust"})
        # Nobody is in the group that the learner made but who was added to it.
        made = await groups(instance, "friend")
        assert len(made) == 6
    assert rows_with(data, ANN) == {ERASURES.name: 1}
    # Nor is there a copy of it in what the files have no use for.
    assert files_with(data, ANN) == {"rows.db": 1}
    assert files_with(static, ANN) == {}
    # So are the words of the name.
    assert files_with(data, "zqxj") == {}
    assert files_with(data, "kvwy").keys() == {LEARNER_INDEX}
    assert files_with(data, SECRET.format(ANN, "batch")) == {}
    of_bob = rows_with(data, BOB)
    assert {*OF_LEARNERS, ACTIVITY_AGGREGATES.name} <= of_bob.keys()
    assert of_bob[ARCHIVE] == 2
    assert {"rows.db", "events.db", LEARNER_INDEX} <= files_with(data, BOB).keys()
    assert of_bob["learners"] == 1
    assert files_with(static, BOB).keys() == {"groups/class-KVWY.json"}


async def told(instance: Instance, user: str) -> list[Any]:
    """What a mentor is told of the learner."""
    session = instance.session("mo", Role.MENTOR)
    found = await session.loaders.enrolled.load((user, "course"))
    standings = await session.loaders.figures_of_page([one.key for one in found], statuses=True)
    query = Rows(ACTIVITY_STATE, ("activity_id", "context_id", "completed_count"), (("user_id", (user,)),))
    states = (await instance.stores.groups.query(query, Lane.PAGES)).rows
    return [found, standings, sorted(map(tuple, states)), await session.loaders.learners.load(user)]


async def log_of(instance: Instance, user: str) -> list[tuple[str, str, bytes]]:
    return [
        (topic.name, record.key, record.value)
        for topic in (TRIGGERS, PROFILES, STATES, ACTIVE_DAYS, ASSESSMENTS, LEARNER_CHANGES, DEAD_LETTERS)
        async for record in instance.stores.events.read(topic.name)
        if user in record.key or user.encode() in record.value
    ]


async def test_no_file_contains_what_was_in_a_place_that_was_erased(tmp_path: Path) -> None:
    """The learner stays, and so does what they have elsewhere."""
    data, static = tmp_path / "data", tmp_path / "static"
    async with instance_of(embedded_urls(), data) as instance:
        await world(instance, static)
        instance.sets_clock(NOW + timedelta(minutes=1))
        await erase(instance.session(ANN), ErasureCall(collection_id="course", context_id="batch"))
        await at_work(instance, static)
        await instance.arrived(within=30)
    assert files_with(data, SECRET.format(ANN, "batch")) == {}
    kept = files_with(data, SECRET.format(ANN, "batch-2"))
    assert {Path(name).suffix for name in kept} == {".db", ".parquet", ".csv"}
    # A report of the place holds the learner too.
    exhausts = files_with(data / "blobs" / "test" / "exhausts", ANN)
    assert len(exhausts) == 2
    assert not any(b",batch," in (data / "blobs/test/exhausts" / name).read_bytes() for name in exhausts)
    # A view that was copied from there says so; it is one of the other batch.
    of_place = [
        table for table, row in values(data) if is_of(row, ANN, "batch") and not is_of(row, ANN, "batch-2")
    ]
    assert of_place == [ERASURES.name]
    for user, context in ((ANN, "batch-2"), (BOB, "batch"), (BOB, "batch-2")):
        left = {table for table, row in values(data) if is_of(row, user, context)}
        assert left >= {*OF_LEARNERS, ARCHIVE}


def is_of(row: Sequence[bytes], user: str, context: str) -> bool:
    """Whether a row, or an event in it, is of the learner in the course under the context: it names all three."""
    texts = {text for value in row for text in value.replace(b"cb:", b"").replace(b"|", b'"').split(b'"')}
    return {user.encode(), context.encode(), b"course"} <= texts
