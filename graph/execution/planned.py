"""Fields that are answered by a plan.

The response tells their plans in ``extensions.plans``. What such a field was written as may be given again for the same
question (loaders/responses.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar

import orjson
from strawberry.extensions import FieldExtension, SchemaExtension

from graph.info import Info
from resolvers.group_activities import is_live
from resolvers.nouns import AggregationMode, KeptResponse, Session, Taken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned(Generic[T]):
    """What the resolver of such a field returns; the field's ``graphql_type`` says what it answers.

    ``taken``: how the value came about; ``as_of``: when, None where it is not known; ``live``: the versions of
    collections that it is of. ``keep`` keeps what the value was written as, where it may be given again.
    """

    value: T
    taken: Taken
    as_of: datetime | None = None
    live: Mapping[str, int] = field(default_factory=dict)
    keep: Callable[[Any], KeptResponse] | None = None


class GivenAgain(FieldExtension):
    """Gives a field's answer again, to the same viewer, until what it depends on has changed.

    ``version_of``: what the field of an object, with its arguments, depends on beside what is asked and by whom. A call
    with a token of a write (``fresh``) is never answered from before.
    """

    def __init__(
        self, version_of: Callable[[Any, Session, Mapping[str, Any]], Awaitable[tuple[object, ...]]]
    ) -> None:
        self._version_of = version_of

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Info, **arguments: Any
    ) -> KeptResponse | Planned[Any]:
        session, responses = info.context, info.context.shared.responses
        if arguments.get("fresh") is not None:
            planned: Planned[Any] = await next_(source, info, **arguments)
            return planned
        key = (*_question(info), *await self._version_of(source, session, arguments))
        kept = responses.get(key, session.now())
        if kept is not None and await is_live(session, kept.live):
            return kept
        planned = await next_(source, info, **arguments)
        as_of = planned.as_of
        if (
            as_of is None
            or not planned.taken.reusable
            or planned.taken.plan.mode is not AggregationMode.QUERY
        ):
            return planned

        def keep(completed: Any) -> KeptResponse:
            response = KeptResponse(orjson.dumps(completed), planned.taken, as_of, planned.live)
            responses.keep(key, response)
            return response

        return replace(planned, keep=keep)


def _question(info: Info) -> tuple[object, ...]:
    """What is asked and by whom: a digest of the document, its operation, variables and the field's place in it; the
    viewer."""
    name, viewer = info.operation.name, info.context.viewer
    asked = (info.query, name and name.value, info.variable_values, info.path.as_list())
    return sha256(repr(asked).encode()).digest(), viewer.user_id, viewer.roles


class PlansTold(SchemaExtension):
    """Passes on what the executor tells of plans: Strawberry asks extensions for the ``extensions`` of a response."""

    def get_results(self) -> dict[str, Any]:
        result = self.execution_context.result
        return dict(result.extensions or {}) if result is not None else {}
