"""A hierarchy update as the platform's editors send it (P-2.8): nodes that change, and parents with their new children."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rules.content_metadata import LARGEST_RELATION, check_extent
from rules.contents import Metadata
from rules.errors import Absent, InvalidInput
from rules.identifiers import checked_id


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What changes of the root's or a unit's metadata, or all of a new unit's."""

    metadata: Metadata
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class ParentChange:
    """The children that a parent gets; None leaves them. ``relations``: what a child says of itself there."""

    children: Sequence[str] | None = None
    relations: Mapping[str, Metadata] = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True, slots=True)
class HierarchyUpdate:
    nodes: Mapping[str, NodeChange]
    parents: Mapping[str, ParentChange]

    @classmethod
    def of(cls, root: str, nodes_modified: Mapping[str, Any], hierarchy: Mapping[str, Any]) -> Self:
        """Reads the two maps of a call. InvalidInput names the path of what is wrong."""
        if not nodes_modified and not hierarchy:
            raise Absent("hierarchy data is empty", field="hierarchy")
        nodes = {
            checked_id(identifier, "nodesModified"): _node(
                entry, f"nodesModified.{identifier}", identifier, root
            )
            for identifier, entry in nodes_modified.items()
        }
        parents = {
            checked_id(identifier, "hierarchy"): _parent(entry, f"hierarchy.{identifier}", identifier, root)
            for identifier, entry in hierarchy.items()
        }
        for name, given, read in (
            ("nodesModified", nodes_modified, nodes),
            ("hierarchy", hierarchy, parents),
        ):
            if len(read) < len(given):  # with space around them they are the same ids
                raise InvalidInput(f"{name} has an id twice", field=name)
        return cls(nodes, parents)

    def check_temporary(self, there: Container[str]) -> None:
        """Checks that no id of a new unit is that of a node that is there already: which one of the two a parent names
        could not be told."""
        if known := [identifier for identifier in self.temporary if identifier in there]:
            raise InvalidInput(
                f"{', '.join(known[:20])} can't be new: the tree has it already",
                field=f"nodesModified.{known[0]}.isNew",
            )

    @property
    def temporary(self) -> list[str]:
        """The ids that the call has for new units. Each is to be replaced by a generated one."""
        return [identifier for identifier, node in self.nodes.items() if node.is_new]

    @property
    def children(self) -> list[str]:
        """Every child that a parent gets."""
        return list(
            dict.fromkeys(child for parent in self.parents.values() for child in parent.children or ())
        )

    def with_ids(self, generated: Mapping[str, str]) -> Self:
        """Returns the same update with the generated ids in place of the temporary ones."""

        def final(identifier: str) -> str:
            return generated.get(identifier, identifier)

        nodes = {final(identifier): node for identifier, node in self.nodes.items()}
        parents = {
            final(identifier): ParentChange(
                None if parent.children is None else [final(child) for child in parent.children],
                {final(child): relation for child, relation in parent.relations.items()},
                parent.name,
            )
            for identifier, parent in self.parents.items()
        }
        return type(self)(nodes, parents)


def checked_relation(relation: object, path: str) -> dict[str, Any]:
    """Returns what a child says of itself below a parent: ``optional``, ``keywords``, ``relName``, and whatever else."""
    said = _object(relation, path)
    optional = said.get("optional")
    if (
        optional is not None
        and not isinstance(optional, bool)
        and str(optional).lower() not in ("true", "false")
    ):
        raise InvalidInput(f"{path}.optional must be true or false", field=f"{path}.optional")
    keywords = said.get("keywords")
    if keywords is not None and not (
        isinstance(keywords, list | tuple) and all(isinstance(one, str) for one in keywords)
    ):
        raise InvalidInput(f"{path}.keywords must be a list of texts", field=f"{path}.keywords")
    if not isinstance(said.get("relName"), str | None):
        raise InvalidInput(f"{path}.relName must be a text", field=f"{path}.relName")
    said = {name: value for name, value in said.items() if value is not None}
    check_extent(said, LARGEST_RELATION, path)
    return said


def _node(entry: object, path: str, identifier: str, root: str) -> NodeChange:
    said = _object(entry, path)
    is_root, is_new = _flag(said, "root", path), _flag(said, "isNew", path)
    if is_root and identifier != root:
        raise InvalidInput(f"{identifier} is not the root, {root}", field=f"{path}.root")
    if is_new and identifier == root:
        raise InvalidInput(f"{root} is there already", field=f"{path}.isNew")
    metadata = _object(said.get("metadata") or {}, f"{path}.metadata")
    if metadata.get("identifier") == identifier:
        del metadata["identifier"]
    return NodeChange(metadata, is_new)


def _parent(entry: object, path: str, identifier: str, root: str) -> ParentChange:
    said = _object(entry, path)
    if _flag(said, "root", path) and identifier != root:
        raise InvalidInput(f"{identifier} is not the root, {root}", field=f"{path}.root")
    children = said.get("children")
    if children is not None:
        if not isinstance(children, list | tuple) or not all(isinstance(child, str) for child in children):
            raise InvalidInput(f"{path}.children must be a list of ids", field=f"{path}.children")
        children = [checked_id(child, f"{path}.children") for child in children]
    relations = _object(said.get("relationalMetadata") or {}, f"{path}.relationalMetadata")
    checked = {
        child: checked_relation(relation or {}, f"{path}.relationalMetadata.{child}")
        for child, relation in relations.items()
    }
    name = said.get("name")
    if not isinstance(name, str | None):
        raise InvalidInput(f"{path}.name must be a text", field=f"{path}.name")
    return ParentChange(children, checked, name)


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{path} must be an object", field=path)
    return dict(value)


def _flag(said: Mapping[str, Any], name: str, path: str) -> bool:
    value = said.get(name)
    if not isinstance(value, bool | None):
        raise InvalidInput(f"{path}.{name} must be true or false", field=f"{path}.{name}")
    return bool(value)
