"""Whom a call is for: the caller, or the user that it names."""

from gateway.rest.framework.endpoints import Call
from gateway.rest.framework.requests import R
from resolvers.nouns import Forbidden, Role, Session

MANY_VIEWERS = "an admin, a mentor, a reporter or a service"
"""Who may read data of others."""
ONLY_A_SERVICE = "a service"


def named_user(call: Call[R], user_id: str | None) -> str | None:
    """The user that the body names, or else the header; None where neither does. Forbidden where they name two.

    Whether the caller may name that user, the command decides.
    """
    if user_id is not None and call.acting_for is not None and user_id != call.acting_for:
        raise Forbidden("userId must be the user in X-Authenticated-For", field="userId")
    return call.acting_for if user_id is None else user_id


def changed_user(session: Session, call: Call[R], user_id: str | None, *others: Role) -> str | None:
    """The user that a call names, for a call that changes something.

    Forbidden, with who may, where that is not the caller, and the caller is no service and has none of the roles
    ``others``.
    """
    user_id = named_user(call, user_id)
    own = session.viewer.known()
    if user_id is not None and user_id != own and not session.viewer.has(Role.SERVICE, *others):
        raise Forbidden(f"only {call.for_others} may act for another user", field="userId")
    return user_id


def reader_of(session: Session, call: Call[R], user_id: str | None) -> str:
    """The user whose data is read: the one that is named, or else the caller. Unauthenticated without a token.

    Whether the caller may see them, the resolver decides.
    """
    own = session.viewer.known()
    return named_user(call, user_id) or own
