"""What each tracking mode adds to calls and to the workers.

Each step of strict mode does nothing. Another mode replaces only its own steps, so no step of one mode is in the way of
another.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime

from ingest.modes import carried_keys, copies, moves
from ingest.modes.moves import Moved
from loaders.session import Session, Shared
from rules.contexts import Context
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.tracking import Tracking, TrackingMode
from rules.views import View


class Strict:
    """Strict mode, and what the others start from.

    ``rekeys``: whether ``follow`` and ``take_rest`` write attempts under other keys, whose scores then change.
    """

    rekeys = False

    @staticmethod
    async def current_key(_shared: Shared, key: ProgressKey, /) -> ProgressKey:
        """Returns the key where the progress of a key is now."""
        return key

    @staticmethod
    async def current_keys(
        _shared: Shared, keys: Collection[ProgressKey], /
    ) -> dict[ProgressKey, ProgressKey]:
        """Returns for each key the one where its progress is now."""
        return {key: key for key in keys}

    @staticmethod
    async def forward(_shared: Shared, _keys: Sequence[ViewKey], /) -> dict[ViewKey, View]:
        """Writes views, after they were written, to where their enrolment moves. Returns those that have moved."""
        return {}

    @staticmethod
    async def enrol_taking_along(
        _session: Session, _key: ProgressKey, _at: datetime, _context: Context, /
    ) -> Enrolment | None:
        """Enrols and brings progress from elsewhere. Returns None if there is none to bring."""
        return None

    @staticmethod
    async def copy_into(_shared: Shared, _enrolments: Sequence[Enrolment], /) -> None:
        """Writes what counts from elsewhere into new enrolments."""

    @staticmethod
    async def follow(
        _shared: Shared,
        _keys: Collection[ProgressKey],
        _enrolled: Collection[ProgressKey],
        _viewed: Mapping[ProgressKey, Set[str] | None],
        /,
    ) -> dict[ProgressKey, ProgressKey]:
        """Writes, for the workers, what follows from triggers of these keys. Returns the keys that are due beside them, each
        with the one that it follows from."""
        return {}

    @staticmethod
    async def take_rest(
        _shared: Shared, _keys: Collection[ProgressKey], _enrolled: Collection[ProgressKey], /
    ) -> list[Moved]:
        """Takes away, for the workers, what was left at places that a learner has moved on from."""
        return []


class CarryForward(Strict):
    follow = staticmethod(carried_keys.carried_to)


class Copy(Strict):
    rekeys = True
    copy_into = staticmethod(copies.copy_into)
    follow = staticmethod(copies.write_copies)


class Move(Strict):
    rekeys = True
    current_key = staticmethod(moves.current_key)
    current_keys = staticmethod(moves.current_keys)
    forward = staticmethod(moves.forward)
    enrol_taking_along = staticmethod(moves.enrol_taking_along)
    take_rest = staticmethod(moves.take_rest)


STRATEGIES: Mapping[TrackingMode, type[Strict]] = {
    TrackingMode.STRICT: Strict,
    TrackingMode.CARRY_FORWARD_FULL: CarryForward,
    TrackingMode.CARRY_FORWARD_COLLECTION: CarryForward,
    TrackingMode.COPY: Copy,
    TrackingMode.MOVE: Move,
}


def added_by(tracking: Tracking) -> type[Strict]:
    """Returns what the instance's mode adds."""
    return STRATEGIES[tracking.mode]
