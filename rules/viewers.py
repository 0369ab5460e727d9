"""Who is asking, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from rules.errors import Forbidden, InvalidInput, Unauthenticated

CLOCK_SKEW = timedelta(minutes=5)


class Role(Enum):
    LEARNER = "learner"
    MENTOR = "mentor"
    CREATOR = "creator"
    REPORTER = "reporter"
    ADMIN = "admin"
    SERVICE = "service"


ALL_LEARNERS = (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE)
"""The roles that may see every learner."""
ALL_FIGURES = (*ALL_LEARNERS, Role.CREATOR)
"""The roles that may see figures over all learners. A creator sees how learning goes, not who learns."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """The caller, out of a verified token. A call without a token has no user and no role. ``by_link``: whoever has a link
    to figures, with the roles of its maker."""

    user_id: str | None = None
    roles: frozenset[Role] = frozenset()
    by_link: bool = False

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)

    def known(self) -> str:
        """Returns the caller's user id. Unauthenticated says that there is none."""
        if self.user_id is None:
            raise Unauthenticated("a bearer token is needed; `cohort token` prints one")
        return self.user_id

    def check_may_see(self, user_id: str) -> None:
        """Raises Forbidden unless the caller may see the learner: learners see themselves, those in ALL_LEARNERS see
        everybody."""
        if self.known() != user_id and not self.has(*ALL_LEARNERS):
            raise Forbidden(
                "only the learner, a mentor, a reporter, an admin or a service may see this", field="userId"
            )

    def check_is(self, user_id: str, *others: Role) -> None:
        """Raises Forbidden unless the caller is this user or has one of the roles in ``others``."""
        if self.known() != user_id and not self.has(*others):
            raise Forbidden(
                f"only they themselves, {' or '.join(_with_article(role) for role in others)} may see this",
                field="userId",
            )

    def check_role(self, *roles: Role) -> None:
        self.known()
        if not self.has(*roles):
            names = " or ".join(role.value for role in roles)
            raise Forbidden(f"this needs the role {names}")

    def acting_for(self, user_id: str | None, *others: Role) -> str:
        """Returns the user whose rows a change is about: the caller, or the user who is named, where the caller is a
        service or has one of the roles in ``others``."""
        own = self.known()
        if user_id is None or user_id == own:
            return own
        if not self.has(Role.SERVICE, *others):
            who = " or ".join(_with_article(role) for role in (*others, Role.SERVICE))
            raise Forbidden(f"only {who} may act for another user", field="userId")
        return user_id

    def time_of_call(self, at: datetime | None, now: datetime) -> datetime:
        """Returns ``at`` where a service gives it, else now, in whole milliseconds as stores keep them."""
        if at is not None:
            if not self.has(Role.SERVICE):
                raise Forbidden("only a service may act at another time", field="at")
            if at.tzinfo is None:
                raise InvalidInput("at needs a time zone, as in 2026-01-31T12:00:00Z", field="at")
            if at > now + CLOCK_SKEW:
                raise InvalidInput("at must not be in the future", field="at")
        moment = at or now
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _with_article(role: Role) -> str:
    return f"{'an' if role.value[0] in 'aeiou' else 'a'} {role.value}"
