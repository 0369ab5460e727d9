"""What each tracking mode adds to calls and to the workers. Strict mode adds nothing, so no step of another mode is in its
way."""

from collections.abc import Awaitable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ingest.modes.carried_keys import carried_to
from ingest.modes.copies import copy_into, write_copies
from ingest.modes.moves import Moved, current_key, enrol_taking_along, forward, take_rest
from loaders.session import Session, Shared
from rules.contexts import Context
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.tracking import Tracking, TrackingMode
from rules.views import View


async def _same_key(_shared: Shared, key: ProgressKey) -> ProgressKey:
    return key


async def _forward_nothing(_shared: Shared, _keys: Sequence[ViewKey]) -> dict[ViewKey, View]:
    return {}


async def _take_nothing_along(
    _session: Session, _key: ProgressKey, _at: datetime, _context: Context
) -> Enrolment | None:
    return None


async def _copy_nothing(_shared: Shared, _enrolments: Sequence[Enrolment]) -> None:
    pass


async def _nothing_follows(
    _shared: Shared,
    _keys: Collection[ProgressKey],
    _enrolled: Collection[ProgressKey],
    _viewed: Mapping[ProgressKey, Set[str] | None],
) -> dict[ProgressKey, ProgressKey]:
    return {}


async def _nothing_was_left(
    _shared: Shared, _keys: Collection[ProgressKey], _enrolled: Collection[ProgressKey]
) -> list[Moved]:
    return []


class CurrentKey(Protocol):
    def __call__(self, shared: Shared, key: ProgressKey, /) -> Awaitable[ProgressKey]: ...


class Forward(Protocol):
    def __call__(self, shared: Shared, keys: Sequence[ViewKey], /) -> Awaitable[dict[ViewKey, View]]: ...


class EnrolTakingAlong(Protocol):
    def __call__(
        self, session: Session, key: ProgressKey, at: datetime, context: Context, /
    ) -> Awaitable[Enrolment | None]: ...


class CopyInto(Protocol):
    def __call__(self, shared: Shared, enrolments: Sequence[Enrolment], /) -> Awaitable[None]: ...


class Follow(Protocol):
    def __call__(
        self,
        shared: Shared,
        keys: Collection[ProgressKey],
        enrolled: Collection[ProgressKey],
        viewed: Mapping[ProgressKey, Set[str] | None],
        /,
    ) -> Awaitable[dict[ProgressKey, ProgressKey]]: ...


class TakeRest(Protocol):
    def __call__(
        self, shared: Shared, keys: Collection[ProgressKey], enrolled: Collection[ProgressKey], /
    ) -> Awaitable[list[Moved]]: ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a mode adds to strict mode, step by step.

    ``current_key``: where the progress of a key is by now. ``forward``: writes views to where their enrolment moves, after
    they were written. ``enrol_taking_along``: enrols and brings progress from elsewhere; None where there is none to
    bring. ``copy_into``: writes what counts of elsewhere into new enrolments. ``follow``: for the workers, the keys that
    are due beside the triggered ones, each with the one that it follows from. ``take_rest``: for the workers, takes away
    what was left at places that a learner has moved on from.
    """

    current_key: CurrentKey = _same_key
    forward: Forward = _forward_nothing
    enrol_taking_along: EnrolTakingAlong = _take_nothing_along
    copy_into: CopyInto = _copy_nothing
    follow: Follow = _nothing_follows
    take_rest: TakeRest = _nothing_was_left


STRATEGIES: Mapping[TrackingMode, Strategy] = {
    TrackingMode.STRICT: Strategy(),
    TrackingMode.CARRY_FORWARD_FULL: Strategy(follow=carried_to),
    TrackingMode.CARRY_FORWARD_COLLECTION: Strategy(follow=carried_to),
    TrackingMode.COPY: Strategy(copy_into=copy_into, follow=write_copies),
    TrackingMode.MOVE: Strategy(
        current_key=current_key,
        forward=forward,
        enrol_taking_along=enrol_taking_along,
        take_rest=take_rest,
    ),
}


def added_by(tracking: Tracking) -> Strategy:
    """What the instance's mode adds."""
    return STRATEGIES[tracking.mode]
