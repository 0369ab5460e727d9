"""Where a group query is answered from, and why (design, section 5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from rules.errors import InvalidInput

CHEAP_KEYS = 500
"""Keys (activity and learner) up to which reading rows costs less than a query to the groups store."""
VISIBLE_WITHIN = timedelta(seconds=15)
"""After so long a write is in the groups store: some ten seconds (design, section 8), and half of that to spare."""
_MARK = "w"
NEWEST_TOKEN = timedelta(minutes=5)
"""How far ahead of our clock a token may be before it can't be one of ours."""


class Mode(Enum):
    """Of an instance, or of a request that asks for the other one (seed 000, Group Progress Updates)."""

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
class Plan:
    """``estimate``: keys that may be read; ``reason`` is for people."""

    source: Source
    reason: str
    estimate: int

    @property
    def mode(self) -> Mode:
        """The one that it answers in."""
        return Mode.BATCH if self.source in (Source.BATCH, Source.TOTALS) else Mode.QUERY


@dataclass(frozen=True, slots=True)
class Taken:
    """A plan that was carried out, for clients. ``origin``: ``computed`` now, ``cached``, or ``stale``: older than it
    should be, for lack of a new one. ``age`` in seconds; ``path``: the field of a document that it answered."""

    plan: Plan
    origin: str
    age: float
    path: tuple[str | int, ...] = ()

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
    return f"{_MARK}{int(at.timestamp() * 1000):x}"


def written_at(token: str, now: datetime) -> datetime:
    """The moment in a token. InvalidInput where it is none."""
    try:
        milliseconds = int(token.removeprefix(_MARK), 16) if token.startswith(_MARK) else -1
        at = datetime.fromtimestamp(milliseconds / 1000, now.tzinfo)
    except (ValueError, OverflowError, OSError):
        milliseconds, at = -1, now
    if milliseconds < 0 or at > now + NEWEST_TOKEN:
        raise InvalidInput("fresh must be a token that a mutation gave out", field="fresh")
    return at


def may_be_kept(fresh: datetime | None, ttl: float, now: datetime) -> bool:
    """Whether an answer of at most ``ttl`` seconds ago has the write in it."""
    return fresh is None or now - fresh > VISIBLE_WITHIN + timedelta(seconds=ttl)


def page_plan(*, members: int, activities: int, mode: Mode, fresh: datetime | None, now: datetime) -> Plan:
    """Of a group page. ``fresh``: the write that the answer must have in it."""
    keys = members * activities
    if mode is Mode.BATCH and fresh is None:
        return Plan(Source.BATCH, "batch mode: what the last aggregation computed", activities)
    if fresh is not None and now - fresh < VISIBLE_WITHIN:
        return Plan(Source.ROWS, "a write of a moment ago must be in the answer", keys)
    if keys <= CHEAP_KEYS:
        return Plan(Source.ROWS, f"{keys} keys are cheaper read one by one, up to {CHEAP_KEYS}", keys)
    return Plan(Source.STATES, f"{keys} keys are more than the {CHEAP_KEYS} that rows are read for", keys)
