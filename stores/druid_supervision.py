"""Data sources of an instance in Druid: compares specs with what Druid has, posts differences, compacts."""

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from druid_specs import FORMER_DATA_SOURCES, DataSource
from rules.errors import StoreUnavailable
from stores.druid_http import DruidHttp

SUPERVISOR = "indexer/v1/supervisor"
COMPACTION = "coordinator/v1/config/compaction"
TASK = "indexer/v1/task"
POLL = 1.0
"""Seconds between two looks at a task that is waited for."""

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SEGMENTS = """
    SELECT COUNT(*), SUM(num_rows), SUM("size"),
      SUM(CASE WHEN is_available = 0 THEN 1 ELSE 0 END),
      SUM(CASE WHEN is_published = 1 AND last_compaction_state IS NULL THEN 1 ELSE 0 END)
    FROM sys.segments WHERE datasource = ? AND is_active = 1
"""
_UNAVAILABLE = "SELECT COUNT(*) FROM sys.segments WHERE datasource = ? AND is_active = 1 AND is_available = 0"
_UNCOMPACTED = """
    SELECT DISTINCT "start", "end" FROM sys.segments
    WHERE datasource = ? AND is_active = 1 AND is_published = 1 AND last_compaction_state IS NULL ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of a data source.

    ``state`` and ``healthy``: what Druid says of its supervisor; ``absent`` where there is none. ``lag``: events of the
    topic that were not read yet; None while Druid does not know. ``bytes``: of published segments. ``rows``: may count a
    key several times until the ``uncompacted`` segments are compacted. ``unavailable``: segments that no server answers
    from. ``differences``: from the files, a line each. ``errors``: the supervisor's latest.
    """

    name: str
    state: str
    healthy: bool
    lag: int | None
    tasks: int
    segments: int
    rows: int
    bytes: int
    unavailable: int
    uncompacted: int
    differences: tuple[str, ...]
    errors: tuple[str, ...]


class Supervision:
    """Manages the data sources of one instance. Every method may raise StoreUnavailable."""

    def __init__(self, http: DruidHttp, prefix: str) -> None:
        self._http = http
        self._prefix = prefix

    async def apply(self, sources: Sequence[DataSource]) -> list[str]:
        """Posts what differs from the files, removes former data sources, and returns a line for each change."""
        done = []
        for source in sources:
            name = druid_name(self._prefix, source)
            for what, path, ours, theirs in await self._wanted(source):
                if different := differences(ours, theirs):
                    await self._http.manage("POST", path, ours)
                    change = "created" if theirs is None else f"changed ({'; '.join(different)})"
                    done.append(f"{what} of {name}: {change}")
        for former in FORMER_DATA_SOURCES:
            done += await self._remove(f"{self._prefix}.{former}")
        return done

    async def is_loaded(self, name: str) -> bool:
        """Whether each segment of the data source has a server that answers from it, as the broker sees it."""
        counts = await self._http.sql(_UNAVAILABLE, name)  # of none there is no row
        return not any(unavailable for (unavailable,) in counts)

    async def _remove(self, name: str) -> list[str]:
        """Removes a data source that nobody queries any more: supervisor, compaction, and stored rows."""
        if await self._http.manage("GET", f"{SUPERVISOR}/{name}") is None:
            return []
        await self._http.manage("POST", f"{SUPERVISOR}/{name}/terminate")
        await self._http.manage("DELETE", f"{COMPACTION}/{name}")
        await self._http.manage("DELETE", f"coordinator/v1/datasources/{name}")
        return [f"removed {name}"]

    async def status(self, sources: Sequence[DataSource]) -> list[SourceStatus]:
        return [await self._status(source) for source in sources]

    async def compact(self, sources: Sequence[DataSource]) -> AsyncIterator[str]:
        """Compacts the days that have new segments, so that each key is one row again. Yields a line for each day.

        One day after the other: each task needs a second task, for which it waits. StoreUnavailable where one fails.
        """
        for source in sources:
            name = druid_name(self._prefix, source)
            for start, end in await self._http.sql(_UNCOMPACTED, name):
                task = _compaction_task(source, name, f"{start}/{end}")
                await self._wait_for((await self._http.manage("POST", TASK, task))["task"])
                yield f"compacted {start[:10]} of {name}"

    async def _wanted(self, source: DataSource) -> list[tuple[str, str, dict[str, Any], Any]]:
        """For supervisor and compaction: what it is, where to post it, as the file has it, as Druid has it."""
        name = druid_name(self._prefix, source)
        supervisor = supervisor_of(source, self._prefix, self._http.address.kafka)
        there = await self._http.manage("GET", f"{SUPERVISOR}/{name}")
        compaction = compaction_of(source, self._prefix)
        compaction_there = await self._http.manage("GET", f"{COMPACTION}/{name}")
        return [
            ("supervisor", SUPERVISOR, supervisor, there),
            ("compaction", COMPACTION, compaction, compaction_there),
        ]

    async def _status(self, source: DataSource) -> SourceStatus:
        name = druid_name(self._prefix, source)
        wanted = await self._wanted(source)
        report = await self._http.manage("GET", f"{SUPERVISOR}/{name}/status")
        payload = report["payload"] if report else {}
        lags = payload.get("minimumLag")
        tasks = [*payload.get("activeTasks", ()), *payload.get("publishingTasks", ())]
        # For a data source without segments Druid gives no row, or one of nulls.
        figures = (await self._http.sql(_SEGMENTS, name) or [[None] * 5])[0]
        segments, rows, size, unavailable, uncompacted = (figure or 0 for figure in figures)
        return SourceStatus(
            name=name,
            state=payload.get("detailedState", "absent"),
            healthy=payload.get("healthy", False),
            lag=sum(lags.values()) if lags else None,
            tasks=len(tasks),
            segments=segments,
            rows=rows,
            bytes=size,
            unavailable=unavailable,
            uncompacted=uncompacted,
            differences=tuple(
                f"{what}: {difference}"
                for what, _, ours, theirs in wanted
                for difference in differences(ours, theirs)
            ),
            errors=tuple(str(error.get("message", error)) for error in payload.get("recentErrors", ())),
        )

    async def _wait_for(self, task: str) -> None:
        """Returns when the task has succeeded. StoreUnavailable where it failed."""
        while True:
            answer = await self._http.manage("GET", f"{TASK}/{task}/status")
            # Just after the task was accepted, the overlord may not know it yet.
            status = answer["status"] if answer else {"statusCode": "RUNNING"}
            if status["statusCode"] == "SUCCESS":
                return
            if status["statusCode"] != "RUNNING":
                raise StoreUnavailable(
                    "a task of the groups store failed", detail=f"{task}: {status.get('errorMsg')}"
                )
            await asyncio.sleep(POLL)


def druid_name(prefix: str, source: DataSource) -> str:
    """The name of the data source and of its supervisor, such as ``cohort.activity-state-2``."""
    return f"{prefix}.{source.stored_as}"


def supervisor_of(source: DataSource, prefix: str, kafka: Mapping[str, Any]) -> dict[str, Any]:
    """The file's supervisor for one instance: with its names, and ``kafka``, the properties of its consumers."""
    supervisor: dict[str, Any] = copy.deepcopy(dict(source.supervisor))
    spec = supervisor["spec"]
    spec["dataSchema"]["dataSource"] = druid_name(prefix, source)
    spec["ioConfig"]["topic"] = f"{prefix}.{source.topic}"
    spec["ioConfig"]["consumerProperties"] |= kafka
    return supervisor


def compaction_of(source: DataSource, prefix: str) -> dict[str, Any]:
    return dict(source.compaction) | {"dataSource": druid_name(prefix, source)}


def differences(ours: object, theirs: object, at: str = "") -> list[str]:
    """Where Druid's copy lacks or changes what is ours, a line each. What only Druid has are its defaults."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return [
            line
            for name, value in ours.items()
            for line in differences(value, theirs.get(name), f"{at}.{name}" if at else name)
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for place, pair in pairs for line in differences(*pair, f"{at}[{place}]")]
    if _normal(ours) == _normal(theirs):
        return []
    return [f"{at or 'all of it'} {'is not there' if theirs is None else 'differs'}"]


def _normal(value: object) -> object:
    """One form for what Druid writes in two: ``NONE`` as ``{"type": "none"}``, ``PT1H`` as ``PT3600S``."""
    if isinstance(value, Mapping) and value.keys() == {"type"}:
        value = str(value["type"]).upper()
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return value


def _compaction_task(source: DataSource, name: str, interval: str) -> dict[str, Any]:
    """A task as the compaction's file says. Druid records its segments as compacted, as with the coordinator's tasks."""
    config = source.compaction
    return {
        "type": "compact",
        "dataSource": name,
        # For one day: while the stream has locks on days, a task gets no lock on several.
        "ioConfig": {"type": "compact", "inputSpec": {"type": "interval", "interval": interval}},
        **{part: config[part] for part in ("dimensionsSpec", "metricsSpec", "granularitySpec")},
        "tuningConfig": {"type": "index_parallel", "forceGuaranteedRollup": True, **config["tuningConfig"]},
        "context": {"storeCompactionState": True, **config["taskContext"]},
    }
