"""Where a group query is answered from, and why (R-QUERY-6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from rules.errors import InvalidInput
from rules.moments import milliseconds, moment

CHEAP_KEYS = 500
"""Keys (activity and learner) up to which reading rows costs less than a query to the groups store."""
VISIBLE_WITHIN = timedelta(seconds=15)
"""After so long a write is in the groups store: some ten seconds (docs/benchmarks.md), and half of that to spare."""
_MARK = "w"
NEWEST_TOKEN = timedelta(minutes=5)
"""How far ahead of our clock a token may be before it can't be one of ours."""


class AggregationMode(Enum):
    """Of an instance, or of a request that asks for the other one (R-QUERY-4, R-QUERY-5)."""

    QUERY = "query"
    """Computed when it is asked for, perhaps out of the cache."""
    BATCH = "batch"
    """What the scheduled aggregation computed last."""


class Source(Enum):
    ROWS = "rows"
    """``user_activity_agg`` and what is newer in the views."""
    STATES = "states"
    """The data source activity-state."""
    TOTALS = "totals"
    """The data source activity-totals: what the last aggregation computed, over many activities."""
    BATCH = "batch"
    """``activity_agg``: what the last aggregation computed, of one activity."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """``reason`` is for people; ``estimate``: keys that may be read at most, None where only reading tells."""

    source: Source
    reason: str
    estimate: int | None

    @property
    def mode(self) -> AggregationMode:
        """The one that it answers in."""
        return (
            AggregationMode.BATCH if self.source in (Source.BATCH, Source.TOTALS) else AggregationMode.QUERY
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """A plan that was carried out, for clients. ``origin``: ``computed`` now, ``cached``, or ``stale``: older than it
    should be, for lack of a new one. ``age`` in seconds; ``path``: the field of a document that it answered.
    ``reusable``: whole, up to date and not for one request's token, so that a client may use it again without asking."""

    plan: QueryPlan
    origin: str
    age: float
    path: tuple[str | int, ...] = ()
    reusable: bool = True

    def told(self) -> dict[str, object]:
        place = {"path": list(self.path)} if self.path else {}
        return {
            **place,
            "source": self.plan.source.value,
            "reason": self.plan.reason,
            "estimate": self.plan.estimate,
            "origin": self.origin,
            "age": round(self.age, 3),
        }


def write_token(at: datetime) -> str:
    """Given out with an acknowledged write; who sends it back reads figures that have that write in them."""
    return f"{_MARK}{milliseconds(at):x}"


def written_at(token: str, now: datetime) -> datetime:
    """The moment in a token. InvalidInput where it is none."""
    try:
        stored = int(token.removeprefix(_MARK), 16) if token.startswith(_MARK) else -1
        at = moment(stored)
    except (ValueError, OverflowError):
        stored, at = -1, now
    if stored < 0 or at > now + NEWEST_TOKEN:
        raise InvalidInput("fresh must be a token that a mutation gave out", field="fresh")
    return at


def still_missing(fresh: datetime, ttl: float, now: datetime) -> datetime | None:
    """The write, while an answer that was kept for ``ttl`` seconds may lack it; None later, when a token changes
    nothing."""
    return fresh if now - fresh <= VISIBLE_WITHIN + timedelta(seconds=ttl) else None


def page_plan(
    *, members: int, activities: int, mode: AggregationMode, fresh: datetime | None, now: datetime
) -> QueryPlan:
    """Of a group page. ``fresh``: the write that the answer must have in it, while it may be missing."""
    keys = members * activities
    if mode is AggregationMode.BATCH and fresh is None:
        return QueryPlan(Source.BATCH, "batch mode: what the last aggregation computed", activities)
    if fresh is not None and now - fresh < VISIBLE_WITHIN:
        return QueryPlan(Source.ROWS, "a write of a moment ago must be in the answer", keys)
    if keys <= CHEAP_KEYS:
        return QueryPlan(Source.ROWS, f"{keys} keys are cheaper read one by one, up to {CHEAP_KEYS}", keys)
    return QueryPlan(
        Source.STATES, f"{keys} keys are more than the {CHEAP_KEYS} that rows are read for", keys
    )
