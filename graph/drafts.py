"""How authors make and change contents and collections."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import strawberry

from graph.access import Access, to
from graph.contents import Content
from graph.draft_inputs import (
    AddChildrenInput,
    CreateCollectionInput,
    CreateContentInput,
    RelationInput,
    RemoveChildrenInput,
    ReorderChildrenInput,
    UpdateContentInput,
    UpdateHierarchyInput,
    UpdateRelationInput,
)
from graph.errors import UserError, carry_out
from graph.fields import mutation
from graph.info import Info
from resolvers import drafts, nouns

_ROLES = "Needs the role creator, admin or service."
_ERRORS = "Why the call was refused; empty where it was not."

WhatToMake = strawberry.argument(name="input", description="What is to be.")
WhatToChange = strawberry.argument(name="input", description="Where, and what of it.")


@strawberry.type(
    description="What became of a call about a content or a collection.", directives=[to(Access.WITH_OBJECT)]
)
class ContentPayload:
    content: Content | None = strawberry.field(
        description="The draft after the call; null where it was refused."
    )
    errors: list[UserError] = strawberry.field(description=_ERRORS)

    @classmethod
    def of(cls, outcome: tuple[nouns.Draft | None, list[UserError]]) -> Self:
        draft, errors = outcome
        return cls(content=Content.of_draft(draft) if draft else None, errors=errors)


@strawberry.type(description="The id that a new unit got.", directives=[to(Access.WITH_OBJECT)])
class GeneratedId:
    temporary: str = strawberry.field(description="What stood for it in the call.")
    identifier: str = strawberry.field(description="Its id from now on.")


@strawberry.type(description="What became of an edit of a tree.", directives=[to(Access.WITH_OBJECT)])
class HierarchyPayload:
    content: Content | None = strawberry.field(
        description="The collection's draft after the edit; null where it was refused."
    )
    identifiers: list[GeneratedId] = strawberry.field(description="The ids of new units.")
    removed: list[str] = strawberry.field(
        description="Units and contents that were in the tree before and are not any more."
    )
    errors: list[UserError] = strawberry.field(description=_ERRORS)

    @classmethod
    def of(cls, outcome: tuple[nouns.HierarchyEdited | None, list[UserError]]) -> Self:
        edited, errors = outcome
        if edited is None:
            return cls(content=None, identifiers=[], removed=[], errors=errors)
        return cls(
            content=Content.of_draft(edited.draft),
            identifiers=[
                GeneratedId(temporary=temporary, identifier=identifier)
                for temporary, identifier in edited.identifiers.items()
            ],
            removed=list(edited.removed),
            errors=errors,
        )


@strawberry.type
class DraftMutations:
    @mutation(
        description=f"Creates a content. Sent again, it answers with the one it made. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def create_content(
        self, info: Info, call: Annotated[CreateContentInput, WhatToMake]
    ) -> ContentPayload:
        command = drafts.create_content(info.context, call.new(call.mime_type), call.more())
        return ContentPayload.of(await carry_out(info, command))

    @mutation(
        description=f"Creates a collection without children. Sent again, it answers with the one it made. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def create_collection(
        self, info: Info, call: Annotated[CreateCollectionInput, WhatToMake]
    ) -> ContentPayload:
        command = drafts.create_content(info.context, call.new(drafts.COLLECTION_MIME_TYPE), call.more())
        return ContentPayload.of(await carry_out(info, command))

    @mutation(
        description="Changes the draft of a content or a collection: what is left out stays, null removes it. "
        f"What is published stays as it is until the next publish. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def update_content(
        self, info: Info, call: Annotated[UpdateContentInput, WhatToChange]
    ) -> ContentPayload:
        command = drafts.update_content(
            info.context, call.identifier, call.version_key, call.said(), call.more()
        )
        return ContentPayload.of(await carry_out(info, command))

    @mutation(
        description="Retires a content or a collection. It is not found any more, takes no new learners and can't be "
        f"changed; what learners have of it stays. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def retire_content(
        self, info: Info, identifier: Annotated[str, strawberry.argument(description="Its identifier.")]
    ) -> ContentPayload:
        return ContentPayload.of(await carry_out(info, drafts.retire_content(info.context, identifier)))

    @mutation(
        description=f"Edits a collection's tree: all that is named, or nothing. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def update_hierarchy(
        self, info: Info, call: Annotated[UpdateHierarchyInput, WhatToChange]
    ) -> HierarchyPayload:
        command = drafts.edit_hierarchy(
            info.context,
            call.root_id,
            [
                drafts.ModifiedNode(node.identifier, node.is_new, node.said(), node.more())
                for node in call.nodes_modified
            ],
            [
                drafts.ModifiedParent(parent.identifier, parent.children, _said(parent.relations))
                for parent in call.hierarchy
            ],
            call.version_key,
        )
        return HierarchyPayload.of(await carry_out(info, command))

    @mutation(description=f"Adds contents to a collection or a unit. {_ROLES}", access=Access.AUTHORS)
    async def add_children(
        self, info: Info, call: Annotated[AddChildrenInput, WhatToChange]
    ) -> HierarchyPayload:
        command = drafts.add_children(
            *(info.context, call.root_id, call.unit_id, call.children),
            places=_said(call.relations),
            position=call.position,
            version_key=call.version_key,
        )
        return HierarchyPayload.of(await carry_out(info, command))

    @mutation(description=f"Removes children from a collection or a unit. {_ROLES}", access=Access.AUTHORS)
    async def remove_children(
        self, info: Info, call: Annotated[RemoveChildrenInput, WhatToChange]
    ) -> HierarchyPayload:
        command = drafts.remove_children(
            info.context, call.root_id, call.unit_id, call.children, call.version_key
        )
        return HierarchyPayload.of(await carry_out(info, command))

    @mutation(
        description=f"Changes what a child says of itself below this parent alone, or the name of a unit. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def update_relation(
        self, info: Info, call: Annotated[UpdateRelationInput, WhatToChange]
    ) -> HierarchyPayload:
        command = drafts.update_relation(
            *(info.context, call.root_id, call.parent_id, call.child_id, call.changes(), call.version_key)
        )
        return HierarchyPayload.of(await carry_out(info, command))

    @mutation(
        description=f"Puts the children of a collection or a unit in another order. {_ROLES}",
        access=Access.AUTHORS,
    )
    async def reorder_children(
        self, info: Info, call: Annotated[ReorderChildrenInput, WhatToChange]
    ) -> HierarchyPayload:
        command = drafts.reorder_children(
            info.context, call.root_id, call.parent_id, call.children, call.version_key
        )
        return HierarchyPayload.of(await carry_out(info, command))


def _said(relations: Sequence[RelationInput]) -> dict[str, dict[str, Any]]:
    return {relation.child_id: relation.said() for relation in relations}
