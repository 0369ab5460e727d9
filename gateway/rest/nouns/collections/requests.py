"""What calls about contents and collections ask for."""

from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from gateway.rest.framework.fields import ByValue, Commas, Texts
from gateway.rest.framework.requests import RequestModel
from resolvers.nouns import DEEPEST, HierarchyMode, InvalidInput

Object = dict[str, Any]
Mode = Annotated[HierarchyMode, ByValue]
Depth = Annotated[int, Field(ge=0, le=DEEPEST, description="Levels below the node; all without it.")]
OF_AUTHORS = "`edit` for what authors see; else what is published."


def checked_text(body: Object, name: str) -> str | None:
    """A text that may be left out, in what is said of a content. InvalidInput."""
    value = body.get(name)
    if not isinstance(value, str | None):
        raise InvalidInput(f"{name} must be a text", field=name)
    return value


class ReadHierarchy(RequestModel):
    """Without ``mode=edit`` it is what is published."""

    mode: Mode = Field(default=HierarchyMode.LIVE, description=OF_AUTHORS)
    depth: Depth | None = None


class ReadContent(RequestModel):
    mode: Mode = Field(default=HierarchyMode.LIVE, description=OF_AUTHORS)
    fields: Commas | None = Field(
        default=None, description="What is answered beside `identifier`; all that there is without it."
    )


class HierarchyData(RequestModel):
    """One of the two maps may be left out. ``lastUpdatedBy`` is passed over: it is whoever calls."""

    nodes_modified: dict[str, Object] = Field(
        default_factory=dict,
        description="By id: `{root?, isNew?, metadata?}`; a new unit has an id of the caller's.",
    )
    hierarchy: dict[str, Object] = Field(
        default_factory=dict,
        description="By the id of a parent: `{root?, children?, relationalMetadata?}`.",
    )
    version_key: str | None = Field(
        default=None, description="Refuses the call if the draft is another one by now."
    )


class UpdateHierarchy(RequestModel):
    mandatory = MappingProxyType({"data": "Hierarchy data is empty"})

    data: HierarchyData


class RemoveFromHierarchy(RequestModel):
    mandatory = MappingProxyType(
        {
            "rootId": "rootId is mandatory",
            "unitId": "unitId is mandatory",
            "children": "children are mandatory",
        }
    )

    root_id: str
    unit_id: str = Field(description="The unit, or the root.")
    children: Texts
    version_key: str | None = None


class AddToHierarchy(RemoveFromHierarchy):
    relational_metadata: dict[str, Object] = Field(
        default_factory=dict,
        description="By the id of a child: what it says of itself there, such as `optional`.",
    )


class UpdateRelation(RequestModel):
    """Without a child the call is the platform's own: it makes sure that a collection has its relations."""

    unit_id: str | None = Field(default=None, description="The parent: a unit, or the root.")
    child_id: str | None = None
    relational_metadata: Object = Field(
        default_factory=dict,
        description="What becomes of what the child says of itself there; a null takes a name away.",
    )
    version_key: str | None = None


class CreateContent(RequestModel):
    content: Object = Field(
        description="`{name, mimeType, identifier?, …}`: all metadata, by the platform's names."
    )

    @property
    def body(self) -> Object:
        return self.content


class CreateCollection(RequestModel):
    collection: Object = Field(description="As `content` of a content.")

    @property
    def body(self) -> Object:
        return self.collection


class UpdateContent(CreateContent):
    content: Object = Field(
        description="Metadata that changes; a null takes a name away. With `versionKey` the call is refused if the "
        "draft is another one by now."
    )


class UpdateCollection(CreateCollection):
    collection: Object = Field(description="As `content` of a content.")


class Retire(RequestModel):
    """It needs nothing but its path."""


class PublishContent(RequestModel):
    """``lastPublishedBy`` is passed over: it is whoever calls."""

    content: Object = Field(
        default_factory=dict,
        description="`versionKey?`: refuses the call if the draft is another one by now.",
    )

    @property
    def body(self) -> Object:
        return self.content


class PublishCollection(RequestModel):
    """As PublishContent."""

    collection: Object = Field(default_factory=dict, description="As `content` of a content.")

    @property
    def body(self) -> Object:
        return self.collection
