"""One learner in one collection, in detail."""

from datetime import datetime
from typing import NamedTuple, Self, cast

import strawberry

from graph import enums
from graph.access import Access, to
from graph.collections import HierarchyNode, OwnTree
from graph.execution.light import stands_for
from graph.fields import field
from graph.info import Info
from graph.progress import Progress
from resolvers import summary as details
from resolvers.learner_trees import LearnerTree
from resolvers.nouns import Json, Status

CONTENT_STATUS = "Every leaf, each once, in the tree's order, with the learner's own status."
UNITS = (
    "Every inner collection below the root, each once, in the tree's order, with the learner's own progress."
)
NEXT_CONTENT = (
    "Where the learner goes on: the first required leaf that is not completed, in the tree's order; null where nothing is "
    "missing."
)
TIME_SPENT = "Seconds, in all leaves of the collection."


@strawberry.type(description="Whether a learner has done a leaf.", directives=[to(Access.WITH_OBJECT)])
class ContentStatus:
    content_id: str = strawberry.field(description="The leaf's identifier.")
    name: str = strawberry.field(description="The leaf's name.")
    status: enums.Status = strawberry.field(description="How far the leaf is.")
    own_tree: strawberry.Private[OwnTree]
    leaf: strawberry.Private[Json]

    @field(description="The leaf, as a node of the collection's tree.")
    def node(self) -> HierarchyNode:
        return HierarchyNode.of(self.own_tree, self.leaf)


class LeafStatus(NamedTuple):
    """Stands for a ContentStatus."""

    content_id: str
    name: str
    status: Status
    own_tree: OwnTree
    leaf: Json


stands_for(
    ContentStatus,
    LeafStatus,
    ("content_id", "name", "status"),
    lambda one, _: ContentStatus(**one._asdict()),
)


@strawberry.type(description="A unit and how far a learner is in it.", directives=[to(Access.WITH_OBJECT)])
class UnitProgress(Progress):
    unit: HierarchyNode = strawberry.field(description="The unit.")


@strawberry.type(
    description="How a learner stands in a collection under a context, in detail.",
    directives=[to(Access.LEARNER)],
)
class Summary(Progress):
    user_id: str = strawberry.field(description="Whose it is.")
    collection_id: str = strawberry.field(description="The collection's identifier.")
    context_id: str = strawberry.field(
        description="The context's id; the collection's identifier without one."
    )
    completed_on: datetime | None = strawberry.field(
        description="When the collection was first completed; it stays although a later version asks for more."
    )
    completed_version: int | None = strawberry.field(
        description="Which version of the collection that was; null where nobody noted it, as for what was migrated."
    )
    last_accessed_on: datetime | None = strawberry.field(description="The learner's last view in it.")
    time_spent: int = strawberry.field(description=TIME_SPENT)
    found: strawberry.Private[details.Summary]

    @classmethod
    def of_summary(cls, found: details.Summary) -> Self:
        return cls(
            status=found.progress.status,
            completed_count=found.progress.completed_count,
            required_count=found.progress.required_count,
            completion_percentage=found.progress.completion_percentage,
            user_id=found.key.user_id,
            collection_id=found.key.collection_id,
            context_id=found.key.context_id,
            completed_on=found.completed_on,
            completed_version=found.completed_version,
            last_accessed_on=found.last_accessed_on,
            time_spent=found.time_spent,
            found=found,
        )

    @field(description=CONTENT_STATUS)
    async def content_status(self, info: Info) -> list[ContentStatus]:
        return await statuses_in(info, self.found.learner_tree)

    @field(description=UNITS)
    async def units(self, info: Info) -> list[UnitProgress]:
        return await units_in(info, self.found.learner_tree)

    @field(description=NEXT_CONTENT)
    async def next_content(self, info: Info) -> HierarchyNode | None:
        return await next_in(info, self.found.learner_tree)


async def statuses_in(info: Info, found: LearnerTree) -> list[ContentStatus]:
    own_tree = await OwnTree.of(info, found.tree)
    statuses = [
        LeafStatus._make((leaf["identifier"], leaf["name"], status, own_tree, leaf))
        for leaf, status in found.contents()
    ]
    return cast("list[ContentStatus]", statuses)


async def units_in(info: Info, found: LearnerTree) -> list[UnitProgress]:
    own_tree = await OwnTree.of(info, found.tree)
    return [
        UnitProgress(
            unit=HierarchyNode.of(own_tree, unit),
            status=progress.status,
            completed_count=progress.completed_count,
            required_count=progress.required_count,
            completion_percentage=progress.completion_percentage,
        )
        for unit, progress in found.units()
    ]


async def next_in(info: Info, found: LearnerTree) -> HierarchyNode | None:
    leaf = found.next_content()
    return None if leaf is None else HierarchyNode.of(await OwnTree.of(info, found.tree), leaf)
