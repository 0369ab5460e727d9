"""Who is asking, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.access import ALL_FIGURES, ALL_LEARNERS, Access, Role, with_article
from rules.errors import Forbidden, InvalidInput, Unauthenticated

__all__ = ["ALL_FIGURES", "ALL_LEARNERS", "CLOCK_SKEW", "Access", "Role", "Viewer"]

CLOCK_SKEW = timedelta(minutes=5)


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

    def check(
        self, access: Access, *, named: bool = False, may: str | None = None, field: str | None = None
    ) -> None:
        """Raises Forbidden unless the caller is admitted, and Unauthenticated where there is none although a token is
        needed. ``named``: whether the caller is one of those whom what is asked for names. ``may``: what it is about, for the
        message."""
        admitted = access.value
        if not admitted.needs_token:
            return
        self.known()
        if named or self.has(*admitted.roles) or not (admitted.roles or admitted.named):
            return
        if admitted.by_role_alone and may is None:
            names = " or ".join(role.value for role in admitted.roles)
            raise Forbidden(f"this needs the role {names}", field=field)
        raise Forbidden(f"only {admitted.words} may {may or 'see this'}", field=field)

    def check_before(self, access: Access) -> None:
        """Raises what ``check`` would raise, as far as the caller alone tells it: before anything is read."""
        self.check(access, named=not access.value.by_role_alone)

    def check_may_see(self, user_id: str) -> None:
        """Raises Forbidden unless the caller may see the learner: learners see themselves, those in ALL_LEARNERS see
        everybody."""
        self.check(Access.LEARNER, named=self.user_id == user_id, field="userId")

    def acting_for(self, user_id: str | None, access: Access = Access.CALLER) -> str:
        """Returns the user whose rows a change is about: the caller, or the user who is named, where the caller has a role
        that ``access`` admits."""
        own = self.known()
        if user_id is None or user_id == own:
            return own
        roles = access.value.roles
        if not self.has(*roles):
            who = " or ".join(with_article(role) for role in roles)
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
