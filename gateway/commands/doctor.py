"""`cohort doctor`: is all that an instance needs there and well? What to do about what is not."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

import typer

from gateway.commands import run

if TYPE_CHECKING:
    from gateway.settings import Settings
    from stores.engines import Stores

LEAST_FREE = 0.1
"""The part of a disk that should be free."""
MOST_BEHIND = 10_000
"""Events that workers may be behind before it is told."""
MOST_APART = 500
"""Milliseconds that two clocks may be apart before it is told."""


class Health(Enum):
    """How something is."""

    WELL = "ok"
    POOR = "warn"
    """Cohort runs, and somebody should look."""
    BAD = "FAIL"
    """Cohort does not run, or not as it should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing. ``remedy``: what to do about it."""

    health: Health
    subject: str
    told: str
    remedy: str = ""


Check = Callable[["Settings", "Stores"], Awaitable[Finding]]


def doctor() -> None:
    """Check what an instance needs: settings, stores, schema, mode, clocks, lag, figures, disk. Says what to do.

    The exit code is 1 if something fails. Nothing is changed.
    """
    from gateway.settings import load_settings

    failed = False

    async def main() -> None:
        nonlocal failed
        async for finding in findings(load_settings()):
            failed = failed or finding.health is Health.BAD
            typer.echo(f"{finding.health.value:5}{finding.subject:16}{finding.told}")
            if finding.remedy:
                typer.echo(f"{'':21}-> {finding.remedy}")

    run(main())
    if failed:
        raise typer.Exit(1)


async def findings(settings: "Settings") -> AsyncIterator[Finding]:
    """Looks at one thing after the other. Stores are asked all at once; what is in them only if they are there."""
    from gateway.wiring import opened
    from rules.errors import CohortError
    from stores.engines import away

    for finding in (_key(settings), _pages(settings), _disk(settings)):
        yield finding
    missing = await away(settings.stores, settings.prefix, settings.data)
    for kind, url in settings.stores.items():
        yield _store(kind, url, missing.get(kind))
    if "rows" in missing:
        return
    try:
        async with opened(settings) as stores:
            for needed, check in _CHECKS:
                if missing.keys() & set(needed):
                    continue
                yield (finding := await _looked(check, settings, stores))
                if check is _schema and finding.health is Health.BAD:
                    return  # nothing else can be looked at
    except CohortError as error:
        yield Finding(
            Health.BAD,
            "stores",
            str(error),
            "an embedded store is open to the processes of one server: ask the running one, GET /health/ready",
        )


async def _looked(check: Check, settings: "Settings", stores: "Stores") -> Finding:
    """What the check finds; that it could not be made is a finding too."""
    from rules.errors import CohortError

    try:
        return await check(settings, stores)
    except CohortError as error:
        return Finding(Health.BAD, check.__name__.strip("_").replace("_", " "), str(error))


def _key(settings: "Settings") -> Finding:
    if settings.jwt_key is None and settings.jwks_url is None and not settings.dev:
        return Finding(
            *(Health.POOR, "jwt_key", "not set: `cohort serve` does not start without it"),
            "COHORT_JWT_KEY=$(openssl rand -hex 32), the same for all processes",
        )
    return Finding(Health.WELL, "jwt_key", "set")


def _pages(settings: "Settings") -> Finding:
    """Whether what is for development is on beside real servers."""
    from stores.urls import is_embedded

    if settings.dev and not is_embedded(settings.rows):
        return Finding(
            *(Health.BAD, "dev", "on, beside a database of servers: the start page gives everybody a token"),
            "unset COHORT_DEV",
        )
    return Finding(Health.WELL, "dev", "on" if settings.dev else "off")


def _disk(settings: "Settings") -> Finding:
    folder = next(
        one for one in (settings.data.absolute(), *settings.data.absolute().parents) if one.exists()
    )
    usage = shutil.disk_usage(folder)
    told = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB free for {settings.data}"
    if usage.free < LEAST_FREE * usage.total:
        return Finding(
            Health.POOR, "disk", told, "make room: embedded stores, copies and work files are there"
        )
    return Finding(Health.WELL, "disk", told)


def _store(kind: str, url: str, why: str | None) -> Finding:
    """Without rows nothing can be answered, without events nothing can be changed; the others are missed less."""
    from gateway.settings import shown

    if why is None:
        return Finding(Health.WELL, kind, shown(url).strip('"'))
    health = Health.BAD if kind in ("rows", "events") else Health.POOR
    return Finding(health, kind, f"away: {why}", f"start it, or set COHORT_{kind.upper()}")


async def _schema(_settings: "Settings", stores: "Stores") -> Finding:
    from stores.schema import version_of
    from stores.tables import TABLES

    stored, known = await stores.rows.schema_version(), version_of(TABLES)
    if stored < known:
        told = f"version {stored}, and this program needs {known}" if stored else "not there yet"
        return Finding(Health.BAD, "schema", told, "cohort init")
    if stored > known:
        return Finding(
            *(Health.BAD, "schema", f"version {stored}, and this program knows {known}"),
            "run a newer Cohort",
        )
    return Finding(Health.WELL, "schema", f"version {stored}")


async def _mode(settings: "Settings", stores: "Stores") -> Finding:
    from ingest.modes.agreement import agreed

    there = await agreed(stores.rows)
    if there is None:
        return Finding(Health.WELL, "tracking mode", f"{settings.tracking_mode}, from the first start on")
    if there.to is not None:
        return Finding(
            *(Health.BAD, "tracking mode", f"going over from {there.mode.value} to {there.to.value}"),
            f"cohort modes change --to {there.to.value}",
        )
    if there.mode.value != settings.tracking_mode:
        return Finding(
            Health.BAD,
            "tracking mode",
            f"rows are kept in {there.mode.value}, tracking_mode is {settings.tracking_mode}",
            f"set tracking_mode to {there.mode.value}, or run cohort modes change --to {settings.tracking_mode}",
        )
    return Finding(Health.WELL, "tracking mode", there.mode.value)


async def _clocks(_settings: "Settings", stores: "Stores") -> Finding:
    """Write times come from the clocks of gateways and workers: of two, the faster one would win."""
    before = datetime.now(UTC)
    theirs = await stores.rows.clock()
    after = datetime.now(UTC)
    ours = (before.timestamp() + after.timestamp()) * 500
    apart = max(0.0, abs(theirs - ours) - (after - before).total_seconds() * 500)
    told = f"this machine and the rows are {apart:.0f} ms apart"
    if apart > MOST_APART:
        return Finding(Health.BAD, "clocks", told, "have NTP keep the clocks of all machines")
    return Finding(Health.WELL, "clocks", told)


async def _row_copies(_settings: "Settings", stores: "Stores") -> Finding:
    """A majority of three copies answers while one node is away; of fewer, none may be."""
    from stores.rows_cassandra import CassandraRows

    subject = "row copies"
    if not isinstance(stores.rows, CassandraRows):
        return Finding(Health.WELL, subject, "one, in a file: back it up")
    found = await stores.rows.replication()
    told = f"{found.copies} on {found.nodes} nodes"
    if found.copies > found.nodes:
        remedy = "start the missing nodes, or ALTER KEYSPACE to fewer copies"
        return Finding(Health.BAD, subject, told, remedy)
    if found.away:
        return Finding(Health.POOR, subject, f"{told}; away: {', '.join(found.away)}", "start what is away")
    if found.copies < min(3, found.nodes):
        return Finding(
            *(Health.POOR, subject, f"{told}: what one node has is out of reach while that is away"),
            "ALTER KEYSPACE … WITH replication to 3, then nodetool repair --full on each node",
        )
    return Finding(Health.WELL, subject, told)


async def _event_copies(_settings: "Settings", stores: "Stores") -> Finding:
    from stores.events_kafka import KafkaEvents
    from stores.topics import TOPICS

    subject = "event copies"
    if not isinstance(stores.events, KafkaEvents):
        return Finding(Health.WELL, subject, "one, in a file: back it up")
    found = await stores.events.replication(TOPICS)
    if found.needed is None:
        return Finding(
            *(
                Health.WELL,
                subject,
                f"{found.copies} on {found.brokers} brokers; how many are needed is not told",
            ),
            "allow DescribeConfigs on the topics to whoever asks",
        )
    least, most = found.needed
    told = f"{found.copies} on {found.brokers} brokers, {least} needed"
    if most > found.copies:
        remedy = "set min.insync.replicas of each topic to one less than its copies"
        return Finding(
            Health.BAD, subject, f"{told}, and {most} for a topic: nothing can be sent to it", remedy
        )
    if found.behind:
        return Finding(
            *(Health.POOR, subject, f"{told}; in {found.behind:,} partitions a copy is behind or away"),
            "start what is away; kafka-topics --describe --under-replicated-partitions",
        )
    if found.copies < min(3, found.brokers):
        return Finding(
            *(Health.POOR, subject, f"{told}: what one broker has is out of reach while that is away"),
            "kafka-reassign-partitions to three brokers, and min.insync.replicas=2 for each topic",
        )
    if found.copies > 2 and least < 2:
        return Finding(
            *(Health.POOR, subject, f"{told}: what one broker alone has acknowledged is lost with it"),
            "kafka-configs --alter --entity-type topics --entity-name TOPIC --add-config min.insync.replicas=2",
        )
    if most == found.copies > 1:
        return Finding(
            *(Health.POOR, subject, f"{told}: while one broker is away nothing can be sent"),
            "set min.insync.replicas of each topic to one less than its copies",
        )
    return Finding(Health.WELL, subject, told)


async def _lag(_settings: "Settings", stores: "Stores") -> Finding:
    from stores.topics import GROUPS

    behind = {
        group.replace("-", " "): sum(
            (await stores.events.lag(group, [topic.name for topic in topics])).values()
        )
        for group, topics in GROUPS.items()
    }
    told = "events behind: " + ", ".join(f"{name} {count:,}" for name, count in behind.items())
    if max(behind.values()) > MOST_BEHIND:
        return Finding(
            *(Health.POOR, "lag", told),
            "look whether `cohort worker` runs; start more, up to the number of partitions",
        )
    return Finding(Health.WELL, "lag", told)


async def _dead_letters(_settings: "Settings", stores: "Stores") -> Finding:
    from ingest.workers.dead_letters import pending

    count = sum([1 async for _ in pending(stores)])
    if count:
        return Finding(
            *(Health.POOR, "dead letters", f"{count:,} events could not be processed"),
            "cohort dead-letters list; mend the cause; cohort dead-letters replay",
        )
    return Finding(Health.WELL, "dead letters", "none")


async def _jobs(_settings: "Settings", stores: "Stores") -> Finding:
    from ingest.jobs.runner import Jobs
    from loaders.session import Shared
    from rules.jobs import JobState

    found = await Jobs(Shared.of(stores)).list()
    wrong = [job for job in found if job.state in (JobState.FAILED, JobState.INTERRUPTED)]
    if wrong:
        named = ", ".join(f"{job.kind} {job.id} {job.state.value}" for job in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding(Health.POOR, "jobs", named + more, "cohort jobs list; cohort jobs resume KIND ID")
    return Finding(Health.WELL, "jobs", f"{len(found):,} known, none failed")


async def _figures(settings: "Settings", stores: "Stores") -> Finding:
    from loaders.totals import last_aggregation

    at = await last_aggregation(stores.rows)
    if at is None:
        told = "no aggregation has come to its end yet"
        if not settings.aggregate_every:
            return Finding(Health.WELL, "aggregation", f"{told}, and none is scheduled")
        return Finding(Health.POOR, "aggregation", told, "start `cohort worker`, or run cohort aggregate run")
    age = (datetime.now(UTC) - at).total_seconds()
    told = f"the last one began {age:,.0f} s ago"
    if settings.aggregate_every and age > 10 * settings.aggregate_every:
        return Finding(Health.POOR, "aggregation", told, "look whether `cohort worker` runs, and at its log")
    return Finding(Health.WELL, "aggregation", told)


async def _index(_settings: "Settings", stores: "Stores") -> Finding:
    from rules.errors import NotInitialised

    try:
        await stores.search.ping()
    except NotInitialised:
        return Finding(Health.BAD, "search index", "not there yet", "cohort init")
    return Finding(
        Health.WELL, "search index", "there; `cohort search check` compares it with what is published"
    )


async def _druid(settings: "Settings", stores: "Stores") -> Finding:
    from druid_specs import DATA_SOURCES
    from stores.groups_druid import DruidGroups
    from stores.groups_mirrored import MirroredGroups

    groups = stores.groups.original if isinstance(stores.groups, MirroredGroups) else stores.groups
    if not isinstance(groups, DruidGroups):
        return Finding(Health.WELL, "groups store", "fed by the process that has its file open")
    status = await groups.supervision.status(DATA_SOURCES)
    wrong = [
        f"{one.name} {'differs from the specs' if one.differences else one.state}"
        for one in status
        if not one.healthy or one.differences
    ]
    if wrong:
        return Finding(
            Health.BAD, "groups store", "; ".join(wrong), "cohort druid status; cohort druid apply"
        )
    return Finding(Health.WELL, "groups store", f"{len(status)} supervisors run as the specs say")


_CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    ((), _schema),
    (("search",), _index),
    ((), _mode),
    ((), _clocks),
    ((), _row_copies),
    (("events",), _event_copies),
    (("events",), _lag),
    (("events",), _dead_letters),
    ((), _jobs),
    ((), _figures),
    (("groups",), _druid),
)
"""Each with the stores that it needs beside the rows."""
