"""The funnel of a collection."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from graph.access import Access, to
from graph.fields import field
from graph.info import Info
from graph.metric_filters import MetricFilterInput
from resolvers.funnels import Funnel, Reached, Unit, activity_funnel

_STARTED = "Those who viewed anything below it."
_COMPLETED = "Those who completed all that it requires."


@strawberry.type(
    description="How many of a collection's learners got how far in one of its units.",
    directives=[to(Access.WITH_OBJECT)],
)
class FunnelStep:
    unit_id: str = strawberry.field(description="The unit: its identifier.")
    name: str = strawberry.field(description="Its name.")
    depth: int = strawberry.field(description="How far below the collection it is; 1 for a unit right below.")
    required_count: int = strawberry.field(description="Its distinct required leaves.")
    enrolled_count: int = strawberry.field(description="Active enrolments in the collection.")
    started_count: int = strawberry.field(description=_STARTED)
    completed_count: int = strawberry.field(description=_COMPLETED)
    started_share: float | None = strawberry.field(
        description="Started of 100 enrolled, with two decimals; null where nobody is enrolled."
    )
    completed_share: float | None = strawberry.field(
        description="Completed of 100 enrolled, with two decimals; null where nobody is enrolled."
    )

    @classmethod
    def of(cls, unit: Unit, reached: Reached) -> Self:
        return cls(
            unit_id=unit.unit_id,
            name=unit.name,
            depth=unit.depth,
            required_count=unit.required_count,
            enrolled_count=reached.enrolled,
            started_count=reached.started,
            completed_count=reached.completed,
            started_share=reached.started_share,
            completed_share=reached.completed_share,
        )


@strawberry.type(
    description="How many of a collection's learners started and completed it and its units.",
    directives=[to(Access.WITH_OBJECT)],
)
class ActivityFunnel:
    collection_id: str = strawberry.field(description="The collection: its identifier.")
    name: str = strawberry.field(description="Its name.")
    required_count: int = strawberry.field(description="Its distinct required leaves.")
    enrolled_count: int = strawberry.field(description="Active enrolments.")
    started_count: int = strawberry.field(description=_STARTED)
    completed_count: int = strawberry.field(description=_COMPLETED)
    steps: list[FunnelStep] = strawberry.field(
        description="The units in the tree's order, 200 at most. A unit in two places is where it comes first."
    )
    as_of: datetime = strawberry.field(description="What was known by then is in the figures.")
    complete: bool = strawberry.field(
        description="False where a part of the data was away, and where figures are of an older version of the collection."
    )

    @classmethod
    def of(cls, funnel: Funnel) -> Self:
        return cls(
            collection_id=funnel.collection_id,
            name=funnel.name,
            required_count=funnel.required_count,
            enrolled_count=funnel.reached.enrolled,
            started_count=funnel.reached.started,
            completed_count=funnel.reached.completed,
            steps=[FunnelStep.of(*step) for step in funnel.steps],
            as_of=funnel.as_of,
            complete=funnel.complete,
        )


@strawberry.type
class FunnelQueries:
    @field(
        description="How many of a collection's learners started and completed each of its units, by one query over their "
        "states. Who was never in a unit has not started it. Needs the role mentor, reporter, admin or service; a creator "
        "sees it too, but not by attributes of learners.",
        access=Access.FIGURES,
    )
    async def activity_funnel(
        self,
        info: Info,
        collection_id: Annotated[
            str,
            strawberry.argument(description="The collection: its identifier. NOT_FOUND where there is none."),
        ],
        context_ids: Annotated[
            list[str] | None,
            strawberry.argument(description="Ids of contexts, at most 200; all without it."),
        ] = None,
        filter: Annotated[  # noqa: A002
            MetricFilterInput | None,
            strawberry.argument(
                description="Which enrolments count: by attributes of learners, by CONTEXT, and by enrolment. What else "
                "there is differs between the units, and is INVALID_INPUT."
            ),
        ] = None,
        depth: Annotated[
            int,
            strawberry.argument(description="Levels of units, from 1, which are those right below, to 32."),
        ] = 1,
    ) -> ActivityFunnel | None:
        found = await activity_funnel(
            info.context,
            collection_id,
            context_ids=context_ids,
            filter=None if filter is None else filter.said(),
            depth=depth,
        )
        return ActivityFunnel.of(found)
