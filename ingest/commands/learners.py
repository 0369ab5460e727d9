"""Learner profiles, by mutation and from the profile topic. The newest profile wins, whatever the order of arrival."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from loaders.erasures import check_learner_not_erased
from loaders.learners import learner_values
from loaders.session import Session
from rules.access import Access
from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.learners import Learner, checked_learner
from rules.moments import moment
from rules.triggers import Trigger, TriggerKind, parse_object, text_of
from rules.viewers import CLOCK_SKEW
from stores.events import Message
from stores.rows import Write
from stores.tables import LEARNERS
from stores.topics import TRIGGERS


@dataclass(frozen=True, slots=True)
class ProfileCall:
    """What a profile call sets.

    - ``attributes``: each one named is set, or removed if it is None. The others stay.
    - ``user_id``: for an admin or a service.
    - ``at``: for a service.
    """

    name: str | None = None
    attributes: Mapping[str, str | None] | None = None
    user_id: str | None = None
    at: datetime | None = None


async def save_profile(session: Session, call: ProfileCall) -> Learner:
    """Saves the profile and returns it as it is after the call. Raises InvalidInput, Forbidden, StoreUnavailable."""
    viewer = session.viewer
    user_id = viewer.acting_for(
        None if call.user_id is None else checked_id(call.user_id, "userId"), Access.PERSON
    )
    at = viewer.time_of_call(call.at, session.now())
    if call.at is not None:
        await check_learner_not_erased(session.stores.rows, user_id, at)
    stored = await session.loaders.learners.load(user_id) or Learner(user_id)
    merged = {**stored.attributes, **(call.attributes or {})}
    learner = checked_learner(
        Learner(
            user_id,
            stored.name if call.name is None else call.name.strip() or None,
            {name: value for name, value in merged.items() if value is not None},
            at,
        )
    )
    if stored.updated_on is not None and at < stored.updated_on:
        learner = stored
    else:
        await session.stores.rows.write(profile_write(learner))
    await session.stores.events.send(TRIGGERS.name, profile_trigger(user_id))
    session.refresh()
    return learner


def profile_trigger(user_id: str) -> Message:
    return Message(user_id, Trigger(TriggerKind.PROFILE, user_id).encode())


def profile_write(learner: Learner) -> Write:
    """Writes at the profile's time, so an older profile that comes late changes no column."""
    timestamp = None if learner.updated_on is None else int(learner.updated_on.timestamp() * 1_000_000)
    return Write(LEARNERS, (learner.user_id,), learner_values(learner), timestamp=timestamp)


def parse_profile(value: bytes, appended_at: int) -> Learner:
    """Returns the profile in an event: ``{userId, updatedOn, name?, attributes?: {…}}``, whole, ``updatedOn`` in RFC
    3339.

    Raises InvalidInput with the reason otherwise. It also refuses a profile that is later than when it was sent
    (``appended_at``, ms): such a profile would win over every other for good.
    """
    document = parse_object(value)
    user_id = text_of(document, "userId")
    updated_on = document.get("updatedOn")
    try:
        at = datetime.fromisoformat(updated_on) if isinstance(updated_on, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput("updatedOn must be a moment such as 2026-01-31T12:00:00Z", field="updatedOn")
    if at > moment(appended_at) + CLOCK_SKEW:
        raise InvalidInput("updatedOn must not be in the future", field="updatedOn")
    name, attributes = document.get("name"), document.get("attributes")
    if name is not None and not isinstance(name, str):
        raise InvalidInput("name must be a text", field="name")
    if attributes is not None and not isinstance(attributes, dict):
        raise InvalidInput("attributes must be an object", field="attributes")
    return checked_learner(Learner(user_id, name, attributes or {}, at.astimezone(UTC)))
