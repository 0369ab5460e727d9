"""Metadata of what can be learned from: a collection, a unit of one, a leaf."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class ContentKind(Enum):
    COLLECTION = "collection"
    """A published tree of its own."""
    UNIT = "unit"
    """An inner node of one."""
    CONTENT = "content"
    """A leaf, or a content in no collection."""


@dataclass(frozen=True, slots=True)
class Content:
    """``root`` and ``live_version`` lead to the published tree that the node is in."""

    identifier: str
    name: str
    kind: ContentKind
    status: str
    mime_type: str | None
    leaf_nodes_count: int
    root: str
    live_version: int
    published_on: datetime | None = None
