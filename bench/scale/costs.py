"""What one thing costs, as it was measured. docs/scale.md names the command for each figure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a client: CPU of the gateway in milliseconds, and what it asks of the stores.

    ``conditional``: writes with a condition; ``writes``: rows written without one; ``reads``: partitions; ``triggers``: events for the
    workers; ``cache``: round trips.
    """

    name: str
    cpu: float
    conditional: float = 0
    writes: float = 0
    reads: float = 0
    triggers: float = 0
    cache: float = 0


VIEW_START = Call("view started", 1.3, conditional=1, writes=0.05, reads=0.5, triggers=1, cache=2)
"""What it has to look up of a course is kept for a minute: read where few others ask."""
VIEW_UPDATE = Call("view updated", 1.3, conditional=1, triggers=1, cache=2)
VIEW_END = Call("view ended", 1.3, conditional=1, triggers=1, cache=2)
ATTEMPT = Call("attempt submitted", 0.9, writes=2, reads=2, triggers=1, cache=0)
"""Not measured in a server: 0.24 ms of `scripts/bench commands`, which has 0.37 for the start of a view, times 1.3 / 0.37."""
ENROL = Call("enrolment", 1.4, conditional=1, reads=1, triggers=1, cache=0)
HOME = Call("home page: 10 enrolments", 1.7, reads=21, cache=0)
COURSE_PAGE = Call("course page", 1.8, reads=3, cache=1)
GROUP_PAGE_KEPT = Call("group page, kept", 1.2, reads=2, cache=1)
GROUP_PAGE_ANEW = Call("group page, computed anew", 44.0, reads=6, cache=4)


@dataclass(frozen=True, slots=True)
class Costs:
    """``…_cpu``: milliseconds of a core. Of Cassandra they are those of the node that coordinates, with one copy; each further copy of a
    write is taken to cost ``copy_cpu``, which nobody measured."""

    worker_key_cpu: float = 0.8
    """Of a learner and collection that is computed anew, 10 views in two units, with its share of an attempt."""
    worker_trigger_cpu: float = 0.01
    """Of each further trigger of the same key in a batch."""
    read_cpu: float = 0.08
    write_cpu: float = 0.05
    conditional_cpu: float = 0.3
    copy_cpu: float = 0.05
    event_cpu: float = 0.03
    cache_cpu: float = 0.005
    state_cpu: float = 0.1
    """Of Druid, for each state that it takes in."""
    page_query_cpu: float = 107
    """Of Druid, for a group page that is computed anew."""

    # Bytes of one copy (docs/sizing.md).
    learner: int = 218
    enrolment_row: int = 114
    list_rows: int = 68
    """Of an enrolment in the lists that it is in."""
    figures: int = 871
    """Of an enrolment: its collection and two units."""
    view: int = 20
    attempt: int = 340
    roster_row: int = 60
    """45 as it is stored; Cassandra warns by what it was before it was packed."""
    trigger_event: int = 320
    state_event: int = 1_020
    druid_state: int = 303
    druid_day: int = 116
    live_hash: int = 1_537
    learner_document: int = 479


COSTS = Costs()
STATES_OF_A_KEY = 3
"""The collection and two units."""
