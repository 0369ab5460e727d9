"""Edits of a collection's tree, each whole or not at all (R-COLL-4).

``version_key`` names the draft that an edit was made from: Conflict says that it is not the current one. None means: on
top of whatever is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loaders.session import Session
from rules.contents import Metadata
from rules.drafts import Draft


@dataclass(frozen=True, slots=True)
class HierarchyEdited:
    """What became of an edit.

    - ``identifiers``: the generated id of each new unit, by the temporary one that the call had for it.
    - ``removed``: units and leaves that were in the tree before and are not any more.
    """

    draft: Draft
    identifiers: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


async def update_hierarchy(
    session: Session,
    root_id: str,
    nodes_modified: Mapping[str, Any],
    hierarchy: Mapping[str, Any],
    version_key: str | None = None,
) -> HierarchyEdited:
    """Changes metadata of the root and of units, makes new units, and gives the parents in ``hierarchy`` new children."""
    raise NotImplementedError


async def add_children(
    session: Session,
    root_id: str,
    unit_id: str,
    children: Sequence[str],
    places: Mapping[str, Metadata] | None = None,
    position: int | None = None,
    version_key: str | None = None,
) -> HierarchyEdited:
    """Adds contents to the root or a unit, at ``position`` (from 0) or behind the others.

    ``places``: the relational metadata of a child there, by its id.
    """
    raise NotImplementedError


async def remove_children(
    session: Session, root_id: str, unit_id: str, children: Sequence[str], version_key: str | None = None
) -> HierarchyEdited:
    """Removes children from the root or a unit."""
    raise NotImplementedError


async def update_relation(
    session: Session,
    root_id: str,
    parent_id: str,
    child_id: str,
    changes: Mapping[str, Any],
    version_key: str | None = None,
) -> HierarchyEdited:
    """Changes what a child says of itself below this parent (``optional``, ``keywords``, ``relName``), and the ``name`` of
    a unit. None clears."""
    raise NotImplementedError


async def reorder_children(
    session: Session, root_id: str, parent_id: str, children: Sequence[str], version_key: str | None = None
) -> HierarchyEdited:
    """Puts the children of the root or a unit in this order. InvalidInput names what is missing or unknown."""
    raise NotImplementedError
