"""Compares what is stored with what the rows say, for one learner or all. Makes the workers mend the difference."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.workers.figures import Recomputed
from ingest.workers.recompute import recompute
from ingest.workers.scores import ChangedScores, compare_scores
from ingest.writes.triggers import trigger_of
from loaders.enrolments import enrolments_by_key
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, checked_id
from rules.triggers import TriggerKind
from stores.columns import Table
from stores.rows import Row
from stores.tables import ENROLMENTS, LEARNER_SCOPES
from stores.topics import TRIGGERS

RANGES = 16
"""Parts of the ring. Each is a step for each table."""
PAGE = 200
EXAMPLES = 20
"""Drifts that a step's report names one by one."""

_TABLES: Mapping[str, Table] = {table.name: table for table in (ENROLMENTS, LEARNER_SCOPES)}
_LEARNER = "learner"
_COLUMNS = ("userid", "collectionid", "contextid")


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What the comparison found.

    - ``checked``: keys that were compared.
    - ``drifted``: keys of these whose stored figures or scores differ from the rows. If none differs, it is no drift,
      even if the workers have not seen a change.
    - ``examples``: some of these, as ``"user collection context: activity, …"``. ``scores of …`` names an assessment.
    - ``failed``: keys whose collection or context is gone.
    """

    checked: int
    drifted: int
    failed: int
    examples: Sequence[str]


async def reconcile(
    shared: Shared,
    *,
    user_id: str | None = None,
    collection_id: str | None = None,
    rate: float = 500,
    states: bool = False,
    on_progress: OnProgress | None = None,
) -> ReconcileReport:
    """Runs the job to its end. ``rate`` is keys a second at most.

    For what drifted, the workers get a trigger: they are the only writer. If ``states`` is set, they get one for what
    did not drift too, so that they send every state and every active day again.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    arguments = {
        "user_id": None if user_id is None else checked_id(user_id, "userId"),
        "collection_id": None if collection_id is None else checked_id(collection_id, "collectionId"),
        "rate": rate,
        "states": states,
    }
    return report_of(await Jobs(shared).start(RECONCILIATION, arguments, on_progress))


def report_of(job: JobRecord) -> ReconcileReport:
    """Returns the report of all steps together."""
    reports = [step.checkpoint.report for step in job.steps]

    def total(name: str) -> int:
        return sum(report.get(name, 0) for report in reports)

    examples = [example for report in reports for example in report.get("examples", ())]
    return ReconcileReport(total("checked"), total("drifted"), total("failed"), examples)


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    return _Reconciliation(
        shared,
        arguments["user_id"],
        arguments["collection_id"],
        arguments["rate"],
        # A resumed job may have begun before there was such an argument.
        arguments.get("states", False),
    )


RECONCILIATION = JobKind("reconcile", _plan)


class _Reconciliation:
    def __init__(
        self, shared: Shared, user_id: str | None, collection_id: str | None, rate: float, states: bool
    ) -> None:
        self._shared = shared
        self._user_id = user_id
        self._collection_id = collection_id
        self._states = states
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        names = [_LEARNER] if self._user_id else [str(number) for number in range(RANGES)]
        return [f"{table} {name}" for table in _TABLES for name in names]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        table_name, _, part = step.partition(" ")
        table = _TABLES[table_name]
        report = {"checked": 0, "drifted": 0, "failed": 0, "examples": [], **start.report}
        if part == _LEARNER:
            rows = await self._shared.stores.rows.partition(table, (self._user_id,), columns=_COLUMNS)
            for first in range(0, len(rows), PAGE):
                await self._check(table, rows[first : first + PAGE], report)
            yield Checkpoint(None, report["checked"], report)
            return
        token_range = self._shared.stores.rows.ranges(RANGES)[int(part)]
        async for page in self._shared.stores.rows.walk(
            table, token_range, columns=_COLUMNS, page_size=self._pace.page, resume=start.resume
        ):
            await self._check(table, page.rows, report)
            yield Checkpoint(page.resume, report["checked"], report)

    async def _check(self, table: Table, rows: Sequence[Row], report: dict[str, Any]) -> None:
        keys = [
            ProgressKey(row["userid"], row["collectionid"], row["contextid"])
            for row in rows
            if self._collection_id in (None, row["collectionid"])
        ]
        async with self._pace.of(len(keys)):
            if table is LEARNER_SCOPES:
                keys = await self._without_enrolment(keys)
            result = await recompute(self._shared, keys, whole=frozenset(keys))
            done = result.done
            places = [key for key in keys if key not in result.failed]
            scores = await compare_scores(self._shared.stores.rows, dict.fromkeys(places))
            drifts = _drifts(done, scores)
            behind = {item.key for item in done if self._states or item.is_behind}
            if told := sorted(behind | drifts.keys()):
                messages = [trigger_of(TriggerKind.RECONCILE, key, again=self._states) for key in told]
                await self._shared.stores.events.send(TRIGGERS.name, *messages)
            report["checked"] += len({item.key for item in done} | scores.keys())
            report["drifted"] += len(drifts)
            report["failed"] += len(result.failed)
            named = [
                f"{key.user_id} {key.collection_id} {key.context_id}: {', '.join(names)}"
                for key, names in drifts.items()
            ]
            report["examples"] = [*report["examples"], *named][:EXAMPLES]

    async def _without_enrolment(self, keys: Sequence[ProgressKey]) -> list[ProgressKey]:
        """A learner's scopes repeat the enrolments, which have a step of their own."""
        found = await enrolments_by_key(self._shared.stores.rows, keys)
        return [key for key, enrolment in zip(keys, found, strict=True) if enrolment is None]


def _drifts(
    done: Sequence[Recomputed], scores: Mapping[ProgressKey, Sequence[ChangedScores]]
) -> dict[ProgressKey, list[str]]:
    """Returns the names of what differs, by key."""
    drifts = {item.key: item.drifted for item in done}
    for place, changed in scores.items():
        drifts.setdefault(place, []).extend(f"scores of {each.key.content_id}" for each in changed)
    return {key: names for key, names in drifts.items() if names}
