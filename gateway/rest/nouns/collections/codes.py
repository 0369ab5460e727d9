"""The platform's codes and sentences of errors, in calls about contents and collections (P-2.9)."""

from collections.abc import Awaitable
from typing import TypeVar

from gateway.rest.framework.envelope import MISSING, Codes
from resolvers.nouns import InvalidInput, NotFound

T = TypeVar("T")

_COMMON: Codes = {
    "FORBIDDEN": "FORBIDDEN",
    "CONFLICT": "ERR_STALE_VERSION_KEY",
    "INVALID_INPUT": "ERR_BAD_REQUEST",
}
READ_HIERARCHY: Codes = _COMMON
"""The usual RESOURCE_NOT_FOUND, whichever id there is not."""
CONTENT: Codes = {**_COMMON, "NOT_FOUND": "ERR_CONTENT_NOT_FOUND", "INVALID_INPUT": "CLIENT_ERROR"}
"""Of what is said of a content by itself: wrong metadata are CLIENT_ERROR."""
PUBLISH: Codes = {**_COMMON, "NOT_FOUND": "ERR_CONTENT_NOT_FOUND"}


def editing(denied: str) -> Codes:
    """The codes of an edit of a tree. ``denied``: that of an edit of a shallow copy."""
    return {
        **_COMMON,
        ("INVALID_INPUT", "originData"): denied,
        ("INVALID_INPUT", "rootId"): "ERR_INVALID_ROOT_ID",
        (MISSING, "rootId"): "ERR_BAD_REQUEST",
        ("INVALID_INPUT", "hierarchy"): "ERR_INVALID_CHILDREN",
        (MISSING, "hierarchy"): "ERR_BAD_REQUEST",
    }


_NOT_AVAILABLE = "children which are not available: "


async def in_platform_words(edit: Awaitable[T], **ids: str) -> T:
    """The result of an edit. An error about one of ``ids``, by the names that the call has for them, is in the platform's
    words."""
    try:
        return await edit
    except NotFound as error:
        if error.field in ids:
            raise NotFound(f"{error.field} {ids[error.field]} does not exist", field=error.field) from None
        raise
    except InvalidInput as error:
        if error.message.startswith(_NOT_AVAILABLE):
            named = error.message.removeprefix(_NOT_AVAILABLE)
            # The field is that of the call, whichever it was: the platform answers this one like any bad request.
            raise InvalidInput(f"Children which are not available are: [{named}]", field="children") from None
        raise
