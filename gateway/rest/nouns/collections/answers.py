"""Answers of calls about contents and collections: the types of the JSON."""

from pydantic import ConfigDict
from typing_extensions import TypedDict


class NodeTold(TypedDict):
    """A node with all its metadata, and as far as the answer goes with its children."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    identifier: str


class HierarchyTold(TypedDict):
    """It is under ``content`` for collections too, as the platform has it."""

    content: NodeTold


class ContentRead(TypedDict):
    content: NodeTold


class CollectionRead(TypedDict):
    collection: NodeTold


class HierarchyUpdated(TypedDict):
    content_id: str
    identifiers: dict[str, str]
    """The generated id of each new unit, by the caller's."""
    removed: list[str]
    versionKey: str


class ChildrenAdded(TypedDict):
    """It also has the children, under the unit's id."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    rootId: str


class ChildrenRemoved(TypedDict):
    rootId: str


class DraftTold(TypedDict):
    identifier: str
    node_id: str
    versionKey: str


class Retired(TypedDict):
    identifier: str
    node_id: str


class PublishTold(TypedDict):
    identifier: str
    node_id: str
    content_id: str
    versionKey: str
    publishStatus: str
    publicationId: str
