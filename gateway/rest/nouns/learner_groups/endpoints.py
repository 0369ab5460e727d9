"""The endpoints of groups of learners, and the platform's codes of each."""

from collections.abc import Sequence
from typing import Any

from gateway.rest.framework.endpoints import Endpoint, Handler, prefixes
from gateway.rest.framework.envelope import Codes
from gateway.rest.framework.requests import R
from gateway.rest.nouns.learner_groups.answers import GroupChanged, GroupCreated, GroupList, GroupTold
from gateway.rest.nouns.learner_groups.handlers import (
    create,
    delete,
    list_groups,
    read,
    update,
    update_membership,
)
from gateway.rest.nouns.learner_groups.requests import (
    CreateGroup,
    DeleteGroup,
    ListGroups,
    ReadGroup,
    UpdateGroup,
    UpdateMembership,
)
from resolvers.nouns import Access


def _codes(operation: str, **others: str) -> Codes:
    """The platform's codes of one operation.

    01: the caller may not, 02: a field is missing or wrong, 03: a store is away or another call was faster.
    """
    away = ("CONFLICT", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL_ERROR")
    return {
        "UNAUTHENTICATED": "GS_UNAUTHORIZED",
        "FORBIDDEN": f"GS_{operation}01",
        "INVALID_INPUT": f"GS_{operation}02",
        **dict.fromkeys(away, f"GS_{operation}03"),
        **{code: f"GS_{operation}{number}" for code, number in others.items()},
    }


CODES: dict[str, Codes] = {
    "create": {
        **_codes("CRT"),
        ("LIMIT_REACHED", "userId"): "GS_CRT04",
        ("LIMIT_REACHED", "members"): "GS_CRT05",
        ("LIMIT_REACHED", "activities"): "GS_CRT06",
    },
    "read": _codes("RED", NOT_FOUND="07"),
    "list": _codes("LST"),
    "update": _codes("UDT", NOT_FOUND="07", GROUP_SUSPENDED="08", FORBIDDEN="09"),
    "delete": _codes("DLT", NOT_FOUND="07", FORBIDDEN="10"),
    "membership/update": _codes("MBRSHP_UDT"),
}
"""The platform's codes by call. docs/api.md lists them too."""


def _both(
    method: str,
    name: str,
    summary: str,
    request: type[R],
    result: object,
    handler: Handler[R],
    rest: str = "",
    max_age: int | None = None,
    *,
    access: Access,
) -> list[Endpoint[R]]:
    """The call under both prefixes."""
    api_id = f"api.group.{name.replace('/', '.')}"
    return [
        Endpoint(
            method,
            f"{prefix}/{name}{rest}",
            api_id,
            summary,
            request,
            result,
            handler,
            CODES[name],
            max_age,
            access=access,
        )
        for prefix in prefixes("group")
    ]


ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_both(
        "POST",
        "create",
        "Creates a group; the caller is its first admin.",
        CreateGroup,
        GroupCreated,
        create,
        access=Access.CALLER,
    ),
    *_both(
        "GET",
        "read",
        "A group.",
        ReadGroup,
        GroupTold,
        read,
        "/{group_id:path}",
        max_age=0,
        access=Access.GROUP_MEMBERS,
    ),
    *_both(
        "POST",
        "list",
        "A learner's groups.",
        ListGroups,
        GroupList,
        list_groups,
        max_age=0,
        access=Access.LEARNER,
    ),
    *_both(
        "PATCH",
        "update",
        "Changes a group, its members and activities.",
        UpdateGroup,
        GroupChanged,
        update,
        access=Access.GROUP_ADMINS,
    ),
    *_both(
        "POST", "delete", "Deletes a group.", DeleteGroup, GroupChanged, delete, access=Access.GROUP_ADMINS
    ),
    *_both(
        "PATCH",
        "membership/update",
        "Marks groups as seen by the caller.",
        UpdateMembership,
        GroupChanged,
        update_membership,
        access=Access.SIGNED_IN,
    ),
)
