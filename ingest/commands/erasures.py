"""Deletes what a learner has, in one place or everywhere (R-ERASE-1)."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.commands.erased_rows import ErasedRows, Place
from ingest.commands.learner_erasure import LearnerErasure
from ingest.commands.place_erasure import PlaceErasure
from ingest.modes.strategies import added_by
from loaders.session import Session
from rules.access import Access
from rules.errors import Absent, CohortError, loggable
from rules.identifiers import ProgressKey, checked_id, optional_id
from stores.deadline import remaining

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a call waits for the erasure of a whole learner. After that the erasure goes on in the background."""


@dataclass(frozen=True, slots=True)
class ErasureCall:
    """What is to be deleted. ``user_id`` is for admins and services.

    - If there is no collection, all of the learner is meant.
    - If ``context_id`` is left out, the collection taken by itself is meant.
    """

    user_id: str | None = None
    collection_id: str | None = None
    context_id: str | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did.

    - ``purged``: the places where something was deleted. For a whole learner it leaves out contents viewed by
      themselves.
    - ``done``: False if there is so much that it goes on. The same call sent again tells when it is done. If this
      process ends, that call also finishes it.
    """

    user_id: str
    purged: Sequence[Place]
    done: bool = True


async def erase(session: Session, call: ErasureCall) -> Erasure:
    """Deletes one enrolment (or a collection or content that was taken by itself) with its views, or all that a learner
    has.

    - In carry-forward-collection, views that another active enrolment of the learner shows stay, and stay listed.
    - In carry-forward-full, which keeps views by content, they go only with the whole learner, and stay listed until
      then.
    - In move mode, the enrolments that led to the deleted one are ended: what is sent there from now on is kept there.
    - If there is nothing, nothing happens.

    Raises Forbidden, InvalidInput, Conflict. If it raises StoreUnavailable, the call may be sent again.
    """
    user_id = session.viewer.acting_for(
        None if call.user_id is None else checked_id(call.user_id, "userId"), Access.PERSON
    )
    collection_id = optional_id(call.collection_id, "collectionId")
    context_id = optional_id(call.context_id, "contextId")
    erased = ErasedRows(session.shared, user_id, session.now(), session.shared.change_moment())
    if collection_id is not None:
        key = ProgressKey(user_id, collection_id, context_id or collection_id)
        place = PlaceErasure(session.shared, erased)
        # In move mode this is also where the progress went. It is deleted by the name that the learner knows it by.
        keys = dict.fromkeys((await added_by(session.shared.tracking).current_key(session.shared, key), key))
        purged = [(each.collection_id, each.context_id) for each in keys if await place.erase(each)]
        session.refresh()
        return Erasure(user_id, purged)
    if context_id is not None:
        raise Absent("contextId needs a collectionId beside it", field="collectionId")
    erasure = LearnerErasure(session.shared, erased)
    done = await _within(session, erasure)
    session.refresh()
    return Erasure(user_id, list(erasure.purged), done)


async def _within(session: Session, erasure: LearnerErasure) -> bool:
    """Returns True if the erasure of the learner ended while the caller waited. The erasure goes on without the caller
    too."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def whole() -> None:
        try:
            await erasure.erase()
        except Exception as error:
            if not ended.cancelled():
                ended.set_exception(error)
            elif isinstance(error, CohortError):
                log.warning("the erasure of a learner stopped, to be sent again: %s", loggable(error))
            else:
                log.exception("the erasure of a learner broke off")
        else:
            if not ended.cancelled():
                ended.set_result(None)

    session.shared.background.start(whole())
    try:
        async with asyncio.timeout(remaining(PATIENCE)):
            await ended
    except TimeoutError:
        return False
    return True
