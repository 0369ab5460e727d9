"""After a publish the workers are told of every enrolled learner whose figures may differ, and of nobody else."""

from copy import deepcopy
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.plans import Checkpoint
from ingest.publishing import learners
from ingest.publishing.direct import publish_collection
from ingest.publishing.learners import recompute_learners
from ingest.workers.worker import Worker
from loaders.aggregates import StoredAggregate, aggregates_by_key
from loaders.session import Shared
from rules.aggregates import AggregateKey
from rules.contexts import bucket_of
from rules.errors import NotFound
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.identifiers import ContextType, ProgressKey, ViewKey, aggregate_context
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import CONTEXTS, ENROLMENTS_BY_CONTEXT
from tests.attempts import store_attempt
from tests.conftest import COURSE, LEAF, NOW, Instance

FAST = 1e9
BEGIN = Checkpoint(None, 0)


def with_leaf(leaf: str, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = deepcopy(COURSE)
    document["children"][0]["children"].append({"identifier": leaf, "name": leaf, "mimeType": LEAF, **more})
    return document


def marked(percent: float) -> dict[str, Any]:
    """COURSE, where leaf a is passed with so many percent."""
    document: dict[str, Any] = deepcopy(COURSE)
    (leaf,) = (one for unit in document["children"] for one in unit["children"] if one["identifier"] == "a")
    leaf["passMark"] = percent
    return document


async def finish(cohort: Instance, user: str, content: str, context: str = "batch") -> None:
    call = ViewCall(content, "course", context)
    await start_view(cohort.session(user), call)
    await end_view(cohort.session(user), call, ViewChange(NOW))


async def tell(cohort: Instance, before: int | None, version: int) -> int:
    """The step from first to last; how many learners it told."""
    last = BEGIN
    async for checkpoint in recompute_learners(cohort.shared, "course", before, version, BEGIN, rate=FAST):
        last = checkpoint
    assert last.resume is None
    assert await cohort.lag() == last.done, "a trigger for each learner"
    return last.done


async def root_of(cohort: Instance, user: str, context: str) -> StoredAggregate:
    kind = ContextType.COLLECTION if context == "course" else ContextType.BATCH
    key = AggregateKey("course", "course", aggregate_context(kind, context), user)
    (found,) = await aggregates_by_key(cohort.stores.rows, [key])
    assert found is not None
    return found


@pytest.fixture
async def school(cohort: Instance) -> Instance:
    """Ada and Bob are in two batches, Dan has left, Eve has only looked; all did leaf a."""
    await cohort.publish()
    await cohort.batch()
    await cohort.batch("second")
    for user, context in (("ada", "batch"), ("bob", "second"), ("dan", "batch")):
        await enrol(cohort.session(user), EnrolmentCall("course", context))
        await finish(cohort, user, "a", context)
    await unenrol(cohort.session("dan"), EnrolmentCall("course", "batch"))
    await finish(cohort, "eve", "a", "course")
    await cohort.drain()
    return cohort


ENROLLED = [("ada", "batch"), ("bob", "second"), ("dan", "batch")]


async def test_all_who_are_or_were_enrolled_follow_the_new_version(school: Instance) -> None:
    await school.publish(with_leaf("e"))
    assert await tell(school, 1, 2) == len(ENROLLED)
    await school.drain()
    for user, context in ENROLLED:
        found = await root_of(school, user, context)
        assert (found.completed_count, found.required_count, found.seen.tree_version) == (1, 4, 2)
    # Who has only views is mended by their next read.
    assert (await root_of(school, "eve", "course")).required_count == 3


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (with_leaf("e"), True),
        (with_leaf("e", relationalMetadata={"optional": True}), True),
        ({**COURSE, "children": COURSE["children"][:1]}, True),
        ({**COURSE, "name": "Renamed"}, True),
        (marked(60), True),
        ({**COURSE, "description": "New"}, False),
        ({**COURSE, "children": COURSE["children"][::-1]}, False),
    ],
    ids=[
        "a leaf",
        "an optional leaf",
        "a unit less",
        "its name",
        "a pass mark",
        "its description",
        "its order",
    ],
)
async def test_they_are_told_if_what_counts_is_another(
    embedded: Instance, document: dict[str, Any], told: bool
) -> None:
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall("course", "batch"))
    await embedded.drain()
    await embedded.publish(document)
    assert await tell(embedded, 1, 2) == int(told)


async def test_learners_pass_by_the_mark_that_is_live(cohort: Instance) -> None:
    """2 of 3 points are 66.67 %: not passed at 67, passed at 66, and without a mark neither. A mark of 0 is one."""
    await cohort.publish(marked(67))
    await cohort.batch()
    await enrol(cohort.session("ada"), EnrolmentCall("course", "batch"))
    await store_attempt(cohort.shared, ViewKey("ada", "course", "batch", "a"), "one", 2.0, 3.0, NOW)
    await cohort.drain()
    score = (await root_of(cohort, "ada", "batch")).score
    assert (score.passable, score.passed) == (1, 0)
    for version, (document, passed) in enumerate(
        ((marked(66), (1, 1)), (COURSE, (0, 0)), (marked(0), (1, 1))), 2
    ):
        await cohort.publish(document)
        assert await tell(cohort, version - 1, version) == 1
        await cohort.drain()
        score = (await root_of(cohort, "ada", "batch")).score
        assert (score.passable, score.passed) == passed


async def test_figures_of_a_version_that_counts_alike_serve_as_they_are(school: Instance) -> None:
    """Two publishes that change no figure, then one that does: only then are the rows read."""

    async def statements() -> tuple[int, int]:
        session = type(school.session("ada"))(school.session("ada").viewer, school.shared)
        content = await school.shared.library.collection("course")
        tree = await school.shared.library.relation_tree(content)
        with school.stores.rows.meter.measure() as cost:
            standing = await session.loaders.standings.load(ProgressKey("ada", "course", "batch"))
        assert standing is not None
        return sum(cost.values()), standing.progress(tree).required_count

    as_published = await statements()
    for number, description in enumerate(("One", "Two"), 1):
        await school.publish({**COURSE, "description": description})
        assert await tell(school, number, number + 1) == 0
        assert await statements() == as_published
    await school.publish(with_leaf("e"))
    assert await statements() > as_published
    assert await statements() == (as_published[0] + 1, 4)
    await school.shared.background.settled()
    await school.drain()
    assert await statements() == (as_published[0], 4)


async def test_what_was_enrolled_before_the_first_publish_is_told(embedded: Instance) -> None:
    """As a migration leaves it, whose courses are published later."""
    await embedded.publish()
    await embedded.batch()
    rows = embedded.stores.rows
    for bucket in range(16):
        key = ("batch", "course", bucket, f"u{bucket}")
        await rows.write(Write(ENROLMENTS_BY_CONTEXT, key, {"active": True, "enrolled_on": NOW}))
    # Under the collection by itself there is one bucket.
    await rows.write(Write(ENROLMENTS_BY_CONTEXT, ("course", "course", 0, "alone"), {"active": True}))
    assert await tell(embedded, None, 1) == 17


async def test_a_program_that_holds_the_course_follows_its_own_publish(embedded: Instance) -> None:
    await embedded.publish()
    program = {
        "identifier": "program",
        "name": "Program",
        "mimeType": COLLECTION_MIME_TYPE,
        "children": [deepcopy(COURSE)],
    }
    await embedded.publish(program)
    await embedded.batch("of-program", "program")
    await enrol(embedded.session("ada"), EnrolmentCall("program", "of-program"))
    await embedded.drain()
    await embedded.publish(with_leaf("e"))
    assert await tell(embedded, 1, 2) == 0
    content = await embedded.shared.library.collection("program")
    assert (await embedded.shared.library.relation_tree(content)).required("program") == {"a", "b", "c"}


async def many(cohort: Instance, of_batch: int) -> list[str]:
    """Learners of one batch as the workers list them, in the order of their ids."""
    rows = cohort.stores.rows
    users = [f"u{number:04}" for number in range(of_batch)]
    await rows.write(
        *(
            Write(
                ENROLMENTS_BY_CONTEXT,
                ("batch", "course", bucket_of(user, 16), user),
                {"active": True, "enrolled_on": NOW},
            )
            for user in users
        )
    )
    return users


async def test_broken_off_at_any_page_it_goes_on_and_tells_everybody(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of at most 5 of each of the 16 buckets. Each run is broken off after its first page; no other learner is told
    twice than those of the page that was under way."""
    monkeypatch.setattr(learners, "PAGE", 5)
    await cohort.publish()
    for context in ("batch", "empty", "zero"):
        await cohort.batch(context)
    users = await many(cohort, 300)
    await cohort.publish(with_leaf("e"))
    told: list[str] = []
    send = cohort.stores.events.send

    async def noted(topic: str, *messages: Any) -> None:
        told.extend(message.key for message in messages)
        await send(topic, *messages)

    monkeypatch.setattr(cohort.stores.events, "send", noted)
    at, runs = BEGIN, 0
    while True:
        async for checkpoint in recompute_learners(cohort.shared, "course", 1, 2, at, rate=FAST):
            at = checkpoint
            break
        runs += 1
        if at.resume is None:
            break
    assert told == users
    assert at.done == 300
    assert runs > 4
    again = [
        checkpoint async for checkpoint in recompute_learners(cohort.shared, "course", 1, 2, BEGIN, rate=FAST)
    ]
    assert told == [*users, *users], "the step may be done again"
    assert again[-1].done == 300


async def test_many_contexts_without_a_learner_do_not_make_the_job_look_dead(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "SIGN_OF_LIFE", 2)
    await embedded.publish()
    for number in range(7):
        await embedded.batch(f"b{number}")
    await embedded.publish(with_leaf("e"))
    at, signs = BEGIN, 0
    while signs == 0 or at.resume is not None:
        async for checkpoint in recompute_learners(embedded.shared, "course", 1, 2, at):
            at = checkpoint
            break
        signs += 1
    assert signs == 5, "after 2, 4, 6 and 8 of the seven contexts and the course itself, and at the end"


async def test_a_worker_that_remembers_the_version_before_computes_for_the_new_one(
    embedded: Instance,
) -> None:
    """Another process published within the seconds that the worker's remembers the pointer for."""
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall("course", "batch"))
    await embedded.drain()
    elsewhere = Instance(embedded.urls, embedded.data)
    elsewhere.shared = Shared.of(embedded.stores, lambda: NOW)
    assert (await embedded.shared.library.collection("course")).live_version == 1
    await publish_collection(elsewhere.session(), with_leaf("e"))
    assert await tell(elsewhere, 1, 2) == 1
    await embedded.drain(Worker(embedded.shared, wait=0.005))
    assert (await root_of(embedded, "ada", "batch")).seen.tree_version == 2


async def test_a_job_that_goes_on_after_later_publishes_still_tells_its_learners(embedded: Instance) -> None:
    """Version 2 counts otherwise than 1; its step was cut off, and 2 is dropped by now. 3 and 4 count like 2."""
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall("course", "batch"))
    await embedded.drain()
    for description in ("Two", "Three", "Four"):
        await embedded.publish({**with_leaf("e"), "description": description})
    later = Instance(embedded.urls, embedded.data)
    later.shared = Shared.of(embedded.stores, lambda: NOW)
    assert await later.shared.library.relations.load(("course", 2)) is None
    assert await tell(later, 1, 2) == 1
    await embedded.drain()
    assert (await root_of(embedded, "ada", "batch")).seen.tree_version == 4


async def test_a_context_that_is_gone_and_a_collection_that_is_none(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await embedded.publish(with_leaf("e"))
    await embedded.stores.rows.write(Write(CONTEXTS, ("batch",), {}, delete=True))
    shared = Shared.of(embedded.stores, lambda: NOW)
    assert [c async for c in recompute_learners(shared, "course", 1, 2, BEGIN)] == [Checkpoint(None, 0)]
    with pytest.raises(NotFound):
        await anext(recompute_learners(shared, "nothing", 2, 3, BEGIN))
