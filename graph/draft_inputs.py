"""What authors send: metadata with fields of its own and room for more, and edits of a tree."""

from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.scalars import JSON
from strawberry.utils.str_converters import to_camel_case

from resolvers import nouns

_VERSION_KEY = (
    "The draft that the change was made from: CONFLICT where it is not the current one. Without it the change is made "
    "on top of whatever is there."
)
_NOT_METADATA = {"identifier", "version_key", "metadata", "is_new"}
Relation = dict[str, Any]


@strawberry.input
class _Described:
    """The fields that every kind of metadata has."""

    description: str | None = strawberry.field(default=UNSET, description="For people, longer.")
    primary_category: str | None = strawberry.field(
        default=UNSET, description="What it is for, such as `Digital Textbook`."
    )
    content_type: str | None = strawberry.field(
        default=UNSET, description="The older name of that, such as `TextBook`."
    )
    subject: list[str] | None = strawberry.field(default=UNSET, description="What it is about.")
    medium: list[str] | None = strawberry.field(
        default=UNSET, description="The languages that it teaches in."
    )
    grade_level: list[str] | None = strawberry.field(default=UNSET, description="For which classes.")
    board: str | None = strawberry.field(default=UNSET, description="The board of education.")
    framework: str | None = strawberry.field(
        default=UNSET, description="The framework that these terms are from."
    )
    keywords: list[str] | None = strawberry.field(default=UNSET, description="Words to find it by.")
    language: list[str] | None = strawberry.field(default=UNSET, description="The languages that it is in.")
    audience: list[str] | None = strawberry.field(default=UNSET, description="For whom.")
    author: str | None = strawberry.field(default=UNSET, description="Who wrote it.")
    license: str | None = strawberry.field(default=UNSET, description="Under which licence.")
    app_icon: str | None = strawberry.field(default=UNSET, description="URL of its icon, http or https.")
    metadata: JSON | None = strawberry.field(
        default=UNSET, description="An object: whatever else is said of it, by the names of the platform."
    )

    def said(self) -> dict[str, Any]:
        """What was given of the fields above, by the names of the platform."""
        return {
            to_camel_case(name): value
            for name, value in vars(self).items()
            if value is not UNSET and name not in _NOT_METADATA
        }

    def more(self) -> Any:
        return None if self.metadata is UNSET else self.metadata


@strawberry.input(description="A collection to be.")
class CreateCollectionInput(_Described):
    name: str = strawberry.field(description="For people.")
    identifier: str | None = strawberry.field(
        default=None, description="An id of the caller's choice; without it, it gets one."
    )

    def new(self, mime_type: str) -> nouns.NewContent:
        said = self.said()
        del said["name"]
        said.pop("mimeType", None)
        return nouns.NewContent(self.name, mime_type, self.identifier, said)


@strawberry.input(description="A content to be.")
class CreateContentInput(CreateCollectionInput):
    mime_type: str = strawberry.field(description="What it is made of, such as `application/pdf`.")


@strawberry.input(
    description="What to change of a content or a collection: what is left out stays, null removes it."
)
class UpdateContentInput(_Described):
    identifier: str = strawberry.field(description="Which content or collection.")
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)
    name: str | None = strawberry.field(default=UNSET, description="For people.")
    mime_type: str | None = strawberry.field(default=UNSET, description="What it is made of.")


@strawberry.input(description="What a child says of itself below this parent alone.")
class RelationInput:
    child_id: str = strawberry.field(description="Which child.")
    optional: bool | None = strawberry.field(default=UNSET, description="Whether progress does without it.")
    keywords: list[str] | None = strawberry.field(default=UNSET, description="Words for it in this place.")
    rel_name: str | None = strawberry.field(default=UNSET, description="Its name in this place.")

    def said(self) -> Relation:
        given = {"optional": self.optional, "keywords": self.keywords, "relName": self.rel_name}
        return {name: value for name, value in given.items() if value is not UNSET}


@strawberry.input(description="A unit that is new or changes, or the collection itself.")
class ModifiedNodeInput(_Described):
    identifier: str = strawberry.field(
        description="The unit's id; of a new one any text that stands for it in this call."
    )
    is_new: bool = strawberry.field(default=False, description="Whether it is a new unit. It gets an id.")
    name: str | None = strawberry.field(default=UNSET, description="For people. A new unit needs one.")


@strawberry.input(description="A parent and its new children.")
class ParentInput:
    identifier: str = strawberry.field(description="The collection or a unit.")
    children: list[str] | None = strawberry.field(
        default=None,
        description="All of its children in order: units, and contents that are to be in it. Without it they stay.",
    )
    relations: list[RelationInput] = strawberry.field(
        default_factory=list,
        description="What children say of themselves here. Those that are not named keep what they say.",
    )


@strawberry.input(
    description="Edits of a tree, all of them or none. Parents that are not named keep their children."
)
class UpdateHierarchyInput:
    root_id: str = strawberry.field(description="The collection.")
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)
    nodes_modified: list[ModifiedNodeInput] = strawberry.field(
        default_factory=list, description="Units that are new or change."
    )
    hierarchy: list[ParentInput] = strawberry.field(
        default_factory=list, description="Parents that get new children."
    )


@strawberry.input(description="Contents to be added to a collection or a unit.")
class AddChildrenInput:
    root_id: str = strawberry.field(description="The collection.")
    unit_id: str = strawberry.field(description="The collection or a unit of it.")
    children: list[str] = strawberry.field(description="Identifiers of contents.")
    relations: list[RelationInput] = strawberry.field(
        default_factory=list, description="What they say of themselves here."
    )
    position: int | None = strawberry.field(
        default=None,
        description="Where they are put, from 0; behind the others without it. A child that is there already keeps its "
        "place without it.",
    )
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)


@strawberry.input(description="Children to be removed from a collection or a unit.")
class RemoveChildrenInput:
    root_id: str = strawberry.field(description="The collection.")
    unit_id: str = strawberry.field(description="The collection or a unit of it.")
    children: list[str] = strawberry.field(
        description="Which of its children. A unit goes with everything below it."
    )
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)


@strawberry.input(
    description="What to change of a child below this parent alone: what is left out stays, null clears."
)
class UpdateRelationInput(RelationInput):
    root_id: str = strawberry.field(description="The collection.")
    parent_id: str = strawberry.field(description="The collection or a unit of it.")
    name: str | None = strawberry.field(
        default=UNSET, description="The name of a unit. A content is renamed by itself."
    )
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)

    def changes(self) -> Relation:
        return self.said() | ({} if self.name is UNSET else {"name": self.name})


@strawberry.input(description="The children of a collection or a unit, in another order.")
class ReorderChildrenInput:
    root_id: str = strawberry.field(description="The collection.")
    parent_id: str = strawberry.field(description="The collection or a unit of it.")
    children: list[str] = strawberry.field(description="Every one of its children, in the new order.")
    version_key: str | None = strawberry.field(default=None, description=_VERSION_KEY)
