"""How many machines it takes, and what they cost."""

import math
from dataclasses import dataclass

from bench.scale.costs import COSTS, STATES_OF_A_KEY
from bench.scale.lag import partitions_for
from bench.scale.load import DAYS_OF_WORK, Load
from bench.scale.units import in_cores, size

COPIES = 3
BUSY = 0.4
"""How busy a core is planned to be in the peak: a node may fail, and compaction, repair and garbage collection take theirs."""
CORES, MEMORY = 16, 64
"""Of a node, and GB."""
DISK = 2_000_000_000_000
"""Bytes of a node; half of them stay free, for compaction and snapshots."""
TIMES_ALIKE = 2.0
"""Rows of real learners pack less well than those that were measured (docs/sizing.md)."""
REWRITTEN = 5
"""How often compaction writes a byte again until it rests."""
YEARS = 3
"""For which rows are kept where it is fast."""
CORE_HOUR, GB_HOUR, DISK_GB_MONTH = 0.035, 0.004, 0.10
"""Prices in dollars, as the large clouds list machines for a year and SSDs. Put in yours."""
HOURS_A_YEAR = 8_760


@dataclass(frozen=True, slots=True)
class Machines:
    """Of one system: ``because`` is what asks for so many."""

    system: str
    nodes: int
    cores: int
    memory: int
    disk: float
    because: str

    @property
    def dollars(self) -> float:
        """Of a year."""
        each = self.cores * CORE_HOUR + self.memory * GB_HOUR
        return self.nodes * (each * HOURS_A_YEAR + self.disk / 1e9 * DISK_GB_MONTH * 12)


def machines_of(load: Load) -> list[Machines]:
    return [
        _gateways(load),
        _workers(load),
        _cassandra(load),
        _kafka(load),
        _druid(load),
        _redis(load),
        _search(load),
    ]


def statements(load: Load) -> dict[str, float]:
    """A second in the peak, to Cassandra, from calls and workers: by kind."""
    peak = load.peak()
    keys = sum(call.triggers * count for call, count in peak.items())
    return {
        "conditional": sum(call.conditional * count for call, count in peak.items()),
        "write": sum(call.writes * count for call, count in peak.items()) + keys * (STATES_OF_A_KEY + 1),
        "read": sum(call.reads * count for call, count in peak.items()) + keys * 6,
    }


def written(load: Load) -> float:
    """Bytes a second that Cassandra's nodes write together in the peak, with all copies: what each statement writes is taken as two views'
    rows, what a worker writes of a key as an enrolment's figures."""
    asked = statements(load)
    keys = sum(call.triggers * count for call, count in load.peak().items())
    rows = (asked["conditional"] + asked["write"] - keys * (STATES_OF_A_KEY + 1)) * 8 * COSTS.view
    return TIMES_ALIKE * COPIES * (rows + keys * COSTS.figures)


def rewritten(load: Load) -> float:
    """Bytes a second that a node writes, with its log and with what compaction writes again."""
    return written(load) * (2 + REWRITTEN) / _cassandra(load).nodes


def rows_bytes(load: Load) -> float:
    """One copy, of all that YEARS leave."""
    year = (
        load.enrolments * (COSTS.enrolment_row + COSTS.list_rows + COSTS.figures)
        + load.views * COSTS.view
        + load.attempts * COSTS.attempt
    )
    return TIMES_ALIKE * (load.learners * COSTS.learner + YEARS * year)


def _gateways(load: Load) -> Machines:
    cores = sum(call.cpu * count for call, count in load.peak().items()) / 1_000 / BUSY
    return _nodes("Cohort, gateways", 2, cores, 1.0, 0.0, f"{in_cores(cores)} in the peak")


def _workers(load: Load) -> Machines:
    processes = partitions_for(load)
    return _nodes("Cohort, workers", 2, processes, 0.5, 0.0, f"{processes} partitions, a process each")


def _cassandra(load: Load) -> Machines:
    asked = statements(load)
    cpu = (
        asked["read"] * COSTS.read_cpu
        + asked["write"] * (COSTS.write_cpu + (COPIES - 1) * COSTS.copy_cpu)
        + asked["conditional"] * (COSTS.conditional_cpu + 2 * (COPIES - 1) * COSTS.copy_cpu)
    )
    by_cpu, disk = cpu / 1_000 / BUSY / CORES, rows_bytes(load) * COPIES
    by_disk = disk / (DISK / 2)
    nodes = max(COPIES, math.ceil(max(by_cpu, by_disk)))
    why = f"disk: {size(disk)}" if by_disk > by_cpu else f"{sum(asked.values()):,.0f} statements a second"
    cores = CORES if nodes > COPIES else 4
    return Machines(
        "Cassandra",
        nodes,
        cores,
        4 * cores,
        max(50e9, 2 * disk / nodes),
        why if nodes > COPIES else "three copies",
    )


def _kafka(load: Load) -> Machines:
    peak = load.peak()
    keys = sum(call.triggers * count for call, count in peak.items())
    events = keys * (1 + STATES_OF_A_KEY)
    a_day = load.views * 4 / DAYS_OF_WORK
    kept = a_day * (7 * COSTS.trigger_event + 30 * STATES_OF_A_KEY * COSTS.state_event) * COPIES
    nodes = max(
        COPIES, math.ceil(max(events * COSTS.event_cpu * COPIES / 1_000 / BUSY / 8, kept / (DISK * 2)))
    )
    return Machines(
        "Kafka",
        nodes,
        8 if nodes > COPIES else 2,
        32 if nodes > COPIES else 8,
        max(50e9, 1.3 * kept / nodes),
        f"{events:,.0f} events a second, {size(kept)} kept",
    )


def _druid(load: Load) -> Machines:
    states = load.enrolments * YEARS * STATES_OF_A_KEY * COSTS.druid_state
    days = load.enrolments * YEARS * 20 * COSTS.druid_day
    held = 2 * (states + days)
    keys = sum(call.triggers * count for call, count in load.peak().items())
    anew = next(count for call, count in load.peak().items() if call.name.endswith("anew"))
    cores = (keys * STATES_OF_A_KEY * COSTS.state_cpu + anew * COSTS.page_query_cpu) / 1_000 / BUSY
    nodes = max(2, math.ceil(max(cores / CORES, held / (DISK / 2))))
    small = nodes == 2 and cores < 8
    return Machines(
        "Druid",
        nodes,
        4 if small else CORES,
        16 if small else MEMORY,
        max(50e9, held / nodes),
        f"{in_cores(cores)}, {size(held)} of segments",
    )


def _redis(load: Load) -> Machines:
    live = load.active_at_once() * COSTS.live_hash * 2
    nodes = max(2, 2 * math.ceil(live / 48e9))
    cores = sum(call.cache * count for call, count in load.peak().items()) * COSTS.cache_cpu / 1_000 / BUSY
    return Machines(
        "Redis",
        nodes,
        max(2, math.ceil(cores)),
        max(2, math.ceil(live / nodes * 2 / 1e9)),
        0.0,
        f"{size(live)} of live progress",
    )


def _search(load: Load) -> Machines:
    bytes_ = load.learners * COSTS.learner_document * 2
    nodes = max(2, math.ceil(bytes_ / 200e9))
    return Machines(
        "OpenSearch",
        nodes,
        2 if nodes == 2 else 4,
        8 if nodes == 2 else 32,
        max(20e9, 3 * bytes_ / nodes),
        f"{size(bytes_)} of learners",
    )


def _nodes(system: str, least: int, cores: float, memory_each: float, disk: float, why: str) -> Machines:
    """Machines of up to CORES cores, at least two of them."""
    nodes = max(least, math.ceil(cores / CORES))
    each = min(CORES, max(1, math.ceil(cores / nodes)))
    return Machines(system, nodes, each, max(2, math.ceil(each * memory_each * 2)), disk, why)


def dollars_a_learner(load: Load) -> float:
    return sum(machines.dollars for machines in machines_of(load)) / load.learners
