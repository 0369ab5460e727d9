"""Errors as clients see them: in a mutation's payload, or as a GraphQL error with ``extensions.code``."""

import logging
import re
from collections.abc import Coroutine, Iterator
from enum import Enum, EnumMeta
from inspect import cleandoc
from typing import Any, Self, TypeVar
from uuid import uuid4

import strawberry
from graphql import FieldNode, GraphQLEnumType, GraphQLError, GraphQLSchema

from graph.access import Access, declared_by_mutation, to
from graph.execution.upstream import MORE_ERRORS
from graph.info import Info
from resolvers.errors import client_message
from resolvers.nouns import CohortError

log = logging.getLogger(__name__)

T = TypeVar("T")

BAD_REQUEST = "BAD_REQUEST"
"""The code of a request that is no valid GraphQL for this schema, or is too large or too deep."""
INTERNAL_ERROR = CohortError.code


def error_classes(base: type[CohortError] = CohortError) -> Iterator[type[CohortError]]:
    """The errors of rules/errors.py that have a code of their own."""
    for error in base.__subclasses__():
        if error.__module__ == CohortError.__module__:
            if "code" in vars(error):
                yield error
            yield from error_classes(error)


ERROR_CODES: dict[str, str] = {
    **{error.code: cleandoc(error.__doc__ or "") for error in error_classes()},
    BAD_REQUEST: "No valid GraphQL for this schema, or more than a document may ask for. Never in a payload.",
    MORE_ERRORS: "There are more errors than an answer tells; `extensions.more` is how many, where they were counted. "
    "Never in a payload.",
    INTERNAL_ERROR: "A fault of the server; `extensions.errorId` is in its log, with what happened. Never in a payload.",
}
"""Every code that an answer may have, with its meaning."""

_CODES: Any = {
    code: strawberry.enum_value(code, description=meaning) for code, meaning in sorted(ERROR_CODES.items())
}
ErrorCode: Any = strawberry.enum(
    EnumMeta.__call__(Enum, "ErrorCode", _CODES),
    description="What went wrong, for programs. docs/api.md says what to do about each.",
)


@strawberry.type(description="Why a mutation was refused.", directives=[to(Access.WITH_OBJECT)])
class UserError:
    code: str = strawberry.field(graphql_type=ErrorCode, description="What went wrong, for programs.")
    message: str = strawberry.field(description="What went wrong, for people.")
    field: str | None = strawberry.field(description="The input field at fault, where it is one.")

    @classmethod
    def of(cls, error: CohortError) -> Self:
        return cls(code=error.code, message=client_message(error), field=error.field)


async def carry_out(info: Info, command: Coroutine[Any, Any, T]) -> tuple[T | None, list[UserError]]:
    """Runs the command of a mutation, as far as the mutation is for the caller by what it declares. Gives its result, or the
    errors that say why it was refused.

    A command that has begun is finished even if its caller leaves: half a command costs readers more than the rest of
    it costs us.
    """
    session = info.context
    try:
        session.viewer.check_before(declared_by_mutation(info))
    except CohortError as error:
        command.close()
        return None, [UserError.of(error)]
    try:
        return await session.shared.background.finish(command), []
    except CohortError as error:
        return None, [UserError.of(error)]


def presented(error: GraphQLError, schema: GraphQLSchema | None = None) -> GraphQLError:
    """The error as a client may see it. An unexpected one shows only an id, which is logged with the trace.

    With ``schema``, an error about a value that an enum does not have lists the values that it has. Without it no error of
    GraphQL says what may have been meant.
    """
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None:
        message = _listing(error.message, schema) if schema else SUGGESTION.sub("", error.message)
        extensions = {"code": BAD_REQUEST, **(error.extensions or {})}
    elif isinstance(cause, CohortError):
        named = {} if cause.field is None else {"field": cause.field}
        message, extensions = client_message(cause), {"code": cause.code, **named, **cause.details}
    else:
        error_id = uuid4().hex
        log.error("internal error %s at %s", error_id, _field(error), exc_info=cause)
        message, extensions = "internal error", {"code": INTERNAL_ERROR, "errorId": error_id}
    return changed(error, message, extensions)


def changed(error: GraphQLError, message: str, extensions: dict[str, Any] | None) -> GraphQLError:
    """The same error in other words. Its places are copied: to find them anew is to read the document again."""
    copy = GraphQLError(message, path=error.path, extensions=extensions)
    copy.nodes, copy.source, copy.positions = error.nodes, error.source, error.positions
    copy.locations = error.locations
    return copy


def _field(error: GraphQLError) -> str:
    """The field that failed, by its name in the schema: the path has the client's aliases."""
    return (
        ", ".join(node.name.value for node in error.nodes or () if isinstance(node, FieldNode)) or "no field"
    )


def _listing(message: str, schema: GraphQLSchema) -> str:
    """graphql-core names at most a few values that look like the one that was given."""

    def listed(found: re.Match[str]) -> str:
        enum = schema.type_map[found["enum"]]
        assert isinstance(enum, GraphQLEnumType)  # noqa: S101 - the message says so
        return f"{found['what']} It has {', '.join(enum.values)}."

    return _UNKNOWN_VALUE.sub(listed, message)


SUGGESTION = re.compile(r" Did you mean [^?]*\?")
"""What graphql-core says in an error: names of the schema."""
_UNKNOWN_VALUE = re.compile(r"(?P<what>does not exist in '(?P<enum>\w+)' enum\.)( Did you mean .*\?)?$")
