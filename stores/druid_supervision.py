"""Data sources of an instance in Druid: what the specs ask for, what Druid has, and how one becomes the other."""

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
"""The seconds between two looks at a task that is waited for."""

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SEGMENTS = """
    SELECT COUNT(*), SUM(num_rows), SUM("size"),
      SUM(CASE WHEN is_available = 0 THEN 1 ELSE 0 END),
      SUM(CASE WHEN is_published = 1 AND last_compaction_state IS NULL THEN 1 ELSE 0 END)
    FROM sys.segments WHERE datasource = ? AND is_active = 1
"""
_UNCOMPACTED = """
    SELECT DISTINCT "start", "end" FROM sys.segments
    WHERE datasource = ? AND is_active = 1 AND is_published = 1 AND last_compaction_state IS NULL ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a data source stands.

    ``state`` and ``healthy`` are Druid's words about its supervisor, ``absent`` where there is none; ``lag`` is the
    events of the topic that were not read yet, None while Druid does not know. ``bytes`` are of published segments,
    ``rows`` may count a key several times until ``uncompacted`` segments are compacted; ``unavailable`` segments are
    answered from by nobody. ``differences`` from the files, a line each; ``errors`` are the latest of the supervisor.
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
    """Changes and shows the data sources. Every method may raise StoreUnavailable, and none changes what is right
    already."""

    def __init__(self, http: DruidHttp, prefix: str) -> None:
        self._http = http
        self._prefix = prefix

    async def apply(self, sources: Sequence[DataSource]) -> list[str]:
        """Posts what differs from the files, and returns what it did, a line each."""
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

    async def _remove(self, name: str) -> list[str]:
        """Removes a data source that nobody asks any more: its supervisor, its compaction and its data."""
        if await self._http.manage("GET", f"{SUPERVISOR}/{name}") is None:
            return []
        await self._http.manage("POST", f"{SUPERVISOR}/{name}/terminate")
        await self._http.manage("DELETE", f"{COMPACTION}/{name}")
        await self._http.manage("DELETE", f"coordinator/v1/datasources/{name}")
        return [f"removed {name}"]

    async def status(self, sources: Sequence[DataSource]) -> list[SourceStatus]:
        return [await self._status(source) for source in sources]

    async def compact(self, sources: Sequence[DataSource]) -> AsyncIterator[str]:
        """Brings each key back to one row on the days that got segments since the last time. Returns a line for each
        day.

        It takes one day after the other, because each task waits for a task of its own. StoreUnavailable says that one
        failed.
        """
        for source in sources:
            name = druid_name(self._prefix, source)
            for start, end in await self._http.sql(_UNCOMPACTED, name):
                task = _compaction_task(source, name, f"{start}/{end}")
                await self._ended((await self._http.manage("POST", TASK, task))["task"])
                yield f"compacted {start[:10]} of {name}"

    async def _wanted(self, source: DataSource) -> list[tuple[str, str, dict[str, Any], Any]]:
        """Yields, for the supervisor and the compaction, its name, where to post it, what the file says and what Druid
        says."""
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
        # Of a data source without segments Druid gives no row, or one of nulls.
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

    async def _ended(self, task: str) -> None:
        while True:
            answer = await self._http.manage("GET", f"{TASK}/{task}/status")
            # Just after it was taken the overlord may not know it yet.
            status = answer["status"] if answer else {"statusCode": "RUNNING"}
            if status["statusCode"] == "SUCCESS":
                return
            if status["statusCode"] != "RUNNING":
                raise StoreUnavailable(
                    "a task of the groups store failed", detail=f"{task}: {status.get('errorMsg')}"
                )
            await asyncio.sleep(POLL)


def druid_name(prefix: str, source: DataSource) -> str:
    """Returns the name of the data source, which is its supervisor's too, such as ``cohort.activity-state-2``."""
    return f"{prefix}.{source.stored_as}"


def supervisor_of(source: DataSource, prefix: str, kafka: str) -> dict[str, Any]:
    """Returns the file's supervisor for one instance, with its names, and its Kafka as Druid reaches it."""
    supervisor: dict[str, Any] = copy.deepcopy(dict(source.supervisor))
    spec = supervisor["spec"]
    spec["dataSchema"]["dataSource"] = druid_name(prefix, source)
    spec["ioConfig"]["topic"] = f"{prefix}.{source.topic}"
    spec["ioConfig"]["consumerProperties"]["bootstrap.servers"] = kafka
    return supervisor


def compaction_of(source: DataSource, prefix: str) -> dict[str, Any]:
    return dict(source.compaction) | {"dataSource": druid_name(prefix, source)}


def differences(ours: object, theirs: object, at: str = "") -> list[str]:
    """Returns where Druid's echo differs from what was sent, a line each. What only Druid says is a default of its
    own."""
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
    """Returns a value in one form: Druid writes ``NONE`` as ``{"type": "none"}`` and ``PT1H`` as ``PT3600S``."""
    if isinstance(value, Mapping) and value.keys() == {"type"}:
        value = str(value["type"]).upper()
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return value


def _compaction_task(source: DataSource, name: str, interval: str) -> dict[str, Any]:
    """As the compaction's file says, and remembered as the coordinator remembers its own."""
    config = source.compaction
    return {
        "type": "compact",
        "dataSource": name,
        # Of one day: beside the stream's locks on days a task gets no lock on several.
        "ioConfig": {"type": "compact", "inputSpec": {"type": "interval", "interval": interval}},
        **{part: config[part] for part in ("dimensionsSpec", "metricsSpec", "granularitySpec")},
        "tuningConfig": {"type": "index_parallel", "forceGuaranteedRollup": True, **config["tuningConfig"]},
        "context": {"storeCompactionState": True, **config["taskContext"]},
    }
