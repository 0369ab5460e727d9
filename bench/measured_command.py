"""Runs one command of ``cohort`` and writes what its process took: ``python -m bench.measured_command FILE [--profile] COMMAND…``.

It imports nothing but the command, so that CPU and memory are the command's own.
"""

import cProfile
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from gateway.cli import app
from stores.meter import Meter
from stores.rows_cassandra import CassandraRows


def main(figures: Path, arguments: list[str]) -> None:
    """``figures``: CPU in seconds, the most memory in MB, statements to the rows by kind. With ``--profile`` cProfile's beside
    it, of CPU: other work on the machine does not count."""
    meters = _kept_meters()
    profile = cProfile.Profile(time.thread_time) if arguments[0] == "--profile" else None
    sys.argv = ["cohort", *arguments[profile is not None :]]
    try:
        if profile is None:
            app()
        else:
            profile.runcall(app)
    finally:
        if profile is not None:
            profile.dump_stats(figures.with_suffix(".prof"))
        used = resource.getrusage(resource.RUSAGE_SELF)
        told = {
            "cpu": used.ru_utime + used.ru_stime,
            "memory": most_memory(),
            "statements": {what: count for meter in meters for what, count in meter.counts.items()},
        }
        figures.write_text(json.dumps(told))


def _kept_meters() -> list[Meter]:
    """The meters of the rows that are opened from here on."""
    meters: list[Meter] = []
    opened = CassandraRows.open

    async def open_and_keep(*given: Any, **named: Any) -> CassandraRows:
        rows = await opened(*given, **named)
        meters.append(rows.meter)
        return rows

    CassandraRows.open = open_and_keep  # type: ignore[method-assign]
    return meters


def most_memory() -> float:
    """MB. What getrusage says begins with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
