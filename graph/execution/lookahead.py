"""What the fields below will ask for, so that it is read once for all of them."""

from collections.abc import Iterator, Sequence
from typing import Any

from graphql import FieldNode, FragmentSpreadNode
from strawberry.types.nodes import SelectedField, Selection

from graph.execution.upstream_documents import asked_in, selections_of
from graph.info import Info

OWN_FIELDS = frozenset({"viewerProgress", "viewerView", "progress", "view"})
"""Fields of a tree's nodes that show the viewer's own, under a ``contextId``; the last two are the older names."""


LEAF_FIELDS = frozenset({"contentStatus", "units", "nextContent"})
"""Fields of an enrolment that look at the status of each leaf."""


def contexts_asked(info: Info) -> set[str | None]:
    """The ``contextId`` of every field of OWN_FIELDS below this one."""
    return set(_contexts([below for field in info.selected_fields for below in field.selections]))


def _contexts(selections: Sequence[Selection]) -> Iterator[str | None]:
    for selection in selections:
        if isinstance(selection, SelectedField) and selection.name in OWN_FIELDS:
            yield selection.arguments.get("contextId")
        else:
            yield from _contexts(selection.selections)


def asks_for_leaves(info: Info) -> bool:
    """Whether a field of LEAF_FIELDS is somewhere below this one."""
    return is_asked(info, *LEAF_FIELDS)


def is_asked(info: Info, *names: str) -> bool:
    """Whether a field of one of these names is somewhere below this one."""
    nodes, fragments = asked_in(info)
    waiting: list[Any] = [below for node in nodes for below in selections_of(node)]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        match node:
            case FieldNode():
                if node.name.value in names:
                    return True
            case FragmentSpreadNode():
                name = node.name.value
                if name in seen:
                    continue
                seen.add(name)
                node = fragments[name]
        waiting += selections_of(node)
    return False
