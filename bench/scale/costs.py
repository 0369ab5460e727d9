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


VIEW_START = Call("view started", 5.1, conditional=1, writes=0.05, reads=2, triggers=1, cache=2)
VIEW_UPDATE = Call("view updated", 5.0, conditional=1, reads=2, triggers=1, cache=2)
VIEW_END = Call("view ended", 4.6, conditional=1, reads=1, triggers=1, cache=2)
ATTEMPT = Call("attempt submitted", 5.0, writes=2, reads=2, triggers=1, cache=0)
ENROL = Call("enrolment", 3.1, conditional=1, reads=3, triggers=1, cache=0)
HOME = Call("home page: 10 enrolments", 7.0, reads=24, cache=0)
COURSE_PAGE = Call("course page", 2.0, reads=3, cache=1)
GROUP_PAGE_KEPT = Call("group page, kept", 1.2, reads=2, cache=1)
GROUP_PAGE_ANEW = Call("group page, computed anew", 83.0, reads=6, cache=4)


@dataclass(frozen=True, slots=True)
class Costs:
    """``…_cpu``: milliseconds of a core. Of Cassandra they are those of the node that coordinates, with one copy; each further copy of a
    write is taken to cost ``copy_cpu``, which nobody measured."""

    worker_key_cpu: float = 2.6
    """Of a learner and collection that is computed anew: 10 views, two units."""
    worker_trigger_cpu: float = 0.02
    """Of each further trigger of the same key in a batch."""
    read_cpu: float = 0.117
    write_cpu: float = 0.058
    conditional_cpu: float = 0.361
    copy_cpu: float = 0.05
    event_cpu: float = 0.036
    cache_cpu: float = 0.017
    state_cpu: float = 0.091
    """Of Druid, for each state that it takes in."""
    page_query_cpu: float = 117.5
    """Of Druid, for a group page that is computed anew."""

    # Bytes of one copy (docs/sizing.md).
    learner: int = 218
    enrolment: int = 182 + 829
    view: int = 20
    attempt: int = 342
    roster_row: int = 60
    trigger_event: int = 320
    state_event: int = 1_060
    attempt_event: int = 1_630
    druid_state: int = 330
    druid_day: int = 116
    live_hash: int = 1_538
    learner_document: int = 479


COSTS = Costs()
STATES_OF_A_KEY = 3
"""The collection and two units."""
