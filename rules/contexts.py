"""Contexts (a batch, a program, an event, a group …): who may do what in them, and when."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from zlib import crc32

from rules.access import Access
from rules.errors import ContextClosed, EnrolmentClosed, Forbidden, InvalidInput
from rules.identifiers import ContextType, aggregate_context
from rules.moments import written
from rules.texts import check_text
from rules.viewers import Viewer

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The last moment to join a context that nobody may join by themselves."""
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The last moment to join a context that no date closes."""


class EnrolmentType(Enum):
    """Who may enrol (P-1.2)."""

    OPEN = "open"
    INVITE_ONLY = "invite-only"


class ContextStatus(Enum):
    """By its dates, at a given time."""

    UPCOMING = 0
    ONGOING = 1
    COMPLETED = 2


class ContextRelation(Enum):
    """What somebody is to a context, other than one of its learners."""

    MENTOR = "mentor"
    CREATOR = "creator"


BUCKETS = 16
"""Of a new context, unless a setting says otherwise: enough for one with 25 million learners (docs/scale.md)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What gives collections their dates and people. Dates are instants in UTC; an end is the last moment inside.

    ``opens_on`` is when learners may first work in it; the start date where it is not given.
    """

    context_id: str
    type: ContextType
    name: str
    collection_ids: tuple[str, ...]
    start_date: datetime | None = None
    end_date: datetime | None = None
    opens_on: datetime | None = None
    enrolment_end_date: datetime | None = None
    enrolment_type: EnrolmentType = EnrolmentType.OPEN
    description: str | None = None
    mentors: frozenset[str] = frozenset()
    buckets: int = BUCKETS
    """The number of partitions of ``enrolment_by_context`` that its learners are spread over. It never changes."""
    created_by: str | None = None
    created_on: datetime | None = None
    updated_on: datetime | None = None
    in_aggregates: str = field(init=False, repr=False, compare=False)
    """As aggregate rows write it. Lists ask hundreds for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_aggregates", aggregate_context(self.type, self.context_id))

    @property
    def opened_on(self) -> datetime | None:
        """The moment from which learners may work in it, None where no date says so."""
        return self.opens_on or self.start_date

    @property
    def joinable_until(self) -> datetime:
        """The last moment at which learners may enrol by themselves. ``is_joinable`` says the same of one moment."""
        if self.enrolment_type is EnrolmentType.INVITE_ONLY:
            return NEVER
        return min(end or FOREVER for end in (self.end_date, self.enrolment_end_date))

    @property
    def people(self) -> frozenset[tuple[str, ContextRelation]]:
        """Who mentors it and who created it: user ids, each with what they are to it."""
        creators = () if self.created_by is None else (self.created_by,)
        return frozenset(
            (
                *((mentor, ContextRelation.MENTOR) for mentor in self.mentors),
                *((creator, ContextRelation.CREATOR) for creator in creators),
            )
        )

    def status_at(self, at: datetime) -> ContextStatus:
        if self.end_date is not None and at > self.end_date:
            return ContextStatus.COMPLETED
        if self.start_date is not None and at < self.start_date:
            return ContextStatus.UPCOMING
        return ContextStatus.ONGOING


_DATES = {
    "start_date": "startDate",
    "end_date": "endDate",
    "opens_on": "opensOn",
    "enrolment_end_date": "enrolmentEndDate",
}


def checked_context(context: Context) -> Context:
    """Returns the context with its dates in whole milliseconds, as stores keep them. InvalidInput says where
    texts hide something, and where collections or dates make no sense."""
    if context.type is ContextType.COLLECTION:
        raise InvalidInput("a collection is its own context; it can't be created as one", field="type")
    if not context.name.strip():
        raise InvalidInput("name must not be blank", field="name")
    check_text(context.name, "name")
    check_text(context.description or "", "description", lines=True)
    if not context.collection_ids:
        raise InvalidInput("collectionIds must name at least one collection", field="collectionIds")
    if context.context_id in context.collection_ids:
        raise InvalidInput("contextId must differ from the ids of its collections", field="contextId")
    dates = {}
    for name, named in _DATES.items():
        date = getattr(context, name)
        if date is not None and date.tzinfo is None:
            raise InvalidInput(f"{named} needs a time zone, as in 2026-01-31T12:00:00Z", field=named)
        dates[name] = date and date.replace(microsecond=date.microsecond // 1000 * 1000)
    for earlier, later in (
        ("start_date", "end_date"),
        ("opens_on", "end_date"),
        ("opens_on", "start_date"),
    ):
        first, last = dates[earlier], dates[later]
        if first is not None and last is not None and first > last:
            raise InvalidInput(
                f"{_DATES[later]} must not be before {_DATES[earlier]}",
                field=_DATES[later if later == "end_date" else earlier],
            )
    return replace(context, **dates)


def check_contains(context: Context, collection_id: str) -> None:
    if collection_id not in context.collection_ids:
        raise InvalidInput(
            f"context {context.context_id} is not one of collection {collection_id}", field="contextId"
        )


def check_may_report(viewer: Viewer, context: Context) -> None:
    """Raises Forbidden unless the viewer may have reports of all learners of the context, and their list: its mentors, its
    creator, and who may see every learner."""
    viewer.check(
        Access.CONTEXT_GUIDES,
        named=is_guide(viewer, context),
        may="have its reports and the list of its learners",
        field="contextId",
    )


def is_guide(viewer: Viewer, context: Context) -> bool:
    """Whether the viewer is one of the context's mentors, or created it."""
    return viewer.user_id is not None and viewer.user_id in (*context.mentors, context.created_by)


def check_open(context: Context, at: datetime) -> None:
    """Raises ContextClosed unless learners may work in the context at ``at``. It is the call's own time that counts: a
    batch that was open then is open."""
    opens = context.opened_on
    if opens is not None and at < opens:
        raise ContextClosed(
            f"context {context.context_id} opens on {written(opens)}; the call is of {written(at)}",
            field="contextId",
        )
    if context.end_date is not None and at > context.end_date:
        raise ContextClosed(
            f"context {context.context_id} ended on {written(context.end_date)}; "
            f"the call is of {written(at)}",
            field="contextId",
        )


def enrolment_refusal(context: Context, at: datetime, *, invited: bool) -> EnrolmentClosed | Forbidden | None:
    """Returns why the context does not take this enrolment. None if it does, before its start too."""
    for name, end in (("ended", context.end_date), ("closed its enrolment", context.enrolment_end_date)):
        if end is not None and at > end:
            return EnrolmentClosed(
                f"context {context.context_id} {name} on {written(end)}; the call is of {written(at)}",
                field="contextId",
            )
    if context.enrolment_type is EnrolmentType.INVITE_ONLY and not invited:
        return Forbidden(
            f"context {context.context_id} is invite-only: a mentor, an admin or a service enrols its learners",
            field="contextId",
        )
    return None


def check_takes_enrolment(context: Context, at: datetime, *, invited: bool) -> None:
    """Raises EnrolmentClosed or Forbidden unless the context takes this enrolment."""
    refusal = enrolment_refusal(context, at, invited=invited)
    if refusal is not None:
        raise refusal


def is_joinable(context: Context, at: datetime) -> bool:
    """Whether learners may enrol by themselves at ``at``."""
    return enrolment_refusal(context, at, invited=False) is None


def bucket_of(user_id: str, buckets: int) -> int:
    """Of ``enrolment_by_context``; the context says how many it has."""
    return crc32(user_id.encode()) % buckets
