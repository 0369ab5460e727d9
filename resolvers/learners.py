"""Learners: who they are, as far as the viewer may see it."""

from typing import NamedTuple

from ingest.commands.learners import save_profile
from loaders.enrolments import enrolments_page
from loaders.session import Session
from rules.errors import NotFound
from rules.identifiers import checked_id
from rules.learners import Learner
from stores.tables import LEARNER_SCOPES

__all__ = ["ProfiledLearner", "has_rows", "learner", "me", "profile", "save_profile"]


class ProfiledLearner(NamedTuple):
    """A learner of a list, whose profile is read."""

    user_id: str
    profile: Learner


def me(session: Session) -> str:
    """The viewer's user id. Unauthenticated without a token."""
    return session.viewer.known()


async def learner(session: Session, user_id: str) -> str:
    """The user id of a learner of whom anything is known: a profile, an enrolment or a view. The viewer always is.

    NotFound, Forbidden, InvalidInput, Unauthenticated.
    """
    user_id = checked_id(user_id, "userId")
    session.viewer.check_may_see(user_id)
    if user_id == session.viewer.user_id or await session.loaders.learners.load(user_id) is not None:
        return user_id
    if not await has_rows(session, user_id):
        raise NotFound(f"there is no learner {user_id}", field="userId")
    return user_id


async def has_rows(session: Session, user_id: str) -> bool:
    """Returns whether the learner has an enrolment or a view."""
    rows = session.stores.rows
    enrolments, _ = await enrolments_page(rows, user_id, after=None, limit=1, active=None)
    return bool(enrolments or await rows.partition(LEARNER_SCOPES, (user_id,), limit=1))


async def profile(session: Session, user_id: str) -> Learner:
    """A learner's profile; an empty one if none was sent yet."""
    session.viewer.check_may_see(user_id)
    return await session.loaders.learners.load(user_id) or Learner(user_id)
