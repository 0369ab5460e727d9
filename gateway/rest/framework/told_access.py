"""Who may make a call, as the OpenAPI document says it."""

from gateway.rest.framework.envelope import Json
from resolvers.nouns import Access

_TOKENS: list[Json] = [{"bearer": []}, {"userToken": []}]


def told_access(access: Access) -> Json:
    """The part of an operation: the tokens that it takes, the kind of access, and what that means."""
    admitted = access.value
    return {
        "security": _TOKENS if admitted.needs_token else [],
        "x-access": {"to": access.name, "description": admitted.sentence},
    }
