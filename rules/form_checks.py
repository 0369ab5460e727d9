"""What an edit form must hold before it is stored or published (R-COLL-3)."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from rules.content_metadata import size_of
from rules.contents import Metadata
from rules.drafts import EditForm
from rules.errors import InvalidInput
from rules.hierarchy import DEEPEST, children_of

MOST_NAMED = 20
"""Ids that an error names. Of more it says how many."""


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How large a collection may become: levels with the root's, and nodes and bytes of JSON, each node counted wherever
    it stands."""

    levels: int = DEEPEST
    nodes: int = 20_000
    size: int = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a node brings along wherever it stands: of a collection within the tree, all of its own tree."""

    levels: int = 1
    nodes: int = 1
    size: int = 0

    @classmethod
    def of(cls, node: Metadata) -> Self:
        levels, nodes, level = 0, 0, [node]
        while level:
            levels, nodes = levels + 1, nodes + len(level)
            level = [child for one in level for child in children_of(dict(one))]
        return cls(levels, nodes, size_of(node))


def check_form(
    form: EditForm,
    leaves: Mapping[str, Metadata],
    limits: FormLimits | None = None,
    *,
    published: Collection[str] = (),
    field: str = "hierarchy",
) -> None:
    """Raises InvalidInput that names the ids unless the form is a tree.

    ``leaves``: the metadata of every leaf that exists; an empty one where only that is known. ``published``: units that
    were collections by themselves when the tree was loaded, such as the courses of a program. ``field``: what the caller
    named the children in.
    """
    _check_units(form, published)
    check_children(form, leaves, field)
    if lost := unreachable(form):
        raise InvalidInput(f"units that no parent holds: {named(lost)}", field=field)
    check_size(form, limits or FormLimits(), field)


def check_children(form: EditForm, leaves: Mapping[str, Metadata], field: str) -> None:
    """Checks that each child is there, once in its parent, below a unit, and not below itself."""
    inner = {form.root, *form.units}
    if wrong := [parent for parent in form.children if parent not in inner and parent in leaves]:
        raise InvalidInput(f"leaves can't have children: {named(wrong)}", field=field)
    if wrong := [parent for parent in form.children if parent not in inner]:
        raise InvalidInput(f"parents that are no units of {form.root}: {named(wrong)}", field=field)
    for parent, below in form.children.items():
        if twice := repeated(below):
            raise InvalidInput(f"{parent} has children twice: {named(twice)}", field=field)
    if wrong := [leaf for leaf in form.leaves if leaf != form.root and leaf not in leaves]:
        raise InvalidInput(f"children which are not available: {named(wrong)}", field=field)
    if wrong := [leaf for leaf in form.leaves if leaves.get(leaf, {}).get("visibility") == "Parent"]:
        raise InvalidInput(f"units of other collections can't be leaves: {named(wrong)}", field=field)
    if cycle := _cycle(form):
        raise InvalidInput(f"below itself: {' > '.join(cycle)}", field=field)


def check_nested(
    root: Metadata, form: EditForm, leaves: Mapping[str, Metadata], limits: FormLimits, field: str
) -> None:
    """Checks the nested tree of a form before it is made: leaves that are shared stand in it again and again, and
    collections within it with all of their own tree."""
    every = {**leaves, **form.units, form.root: root}
    check_size(form, limits, field, {identifier: Extent.of(node) for identifier, node in every.items()})


def check_size(
    form: EditForm, limits: FormLimits, field: str, extents: Mapping[str, Extent] | None = None
) -> None:
    """Checks levels, nodes and bytes of a form without cycles. ``extents``: of the nodes, as far as they are known."""
    known, downwards, one = extents or {}, _downwards(form), Extent()
    levels = {form.root: 1}
    for node in downwards:
        for child in form.children.get(node, ()):
            levels[child] = max(levels.get(child, 0), levels[node] + known.get(child, one).levels)
    if too_deep := [node for node, level in levels.items() if level > limits.levels]:
        raise InvalidInput(
            f"below level {limits.levels}, the deepest allowed: {named(too_deep)}", field=field
        )
    nodes, sizes = dict[str, int](), dict[str, int]()
    for node in reversed(downwards):
        own, below = known.get(node, one), form.children.get(node, ())
        nodes[node] = own.nodes + sum(nodes.get(child, known.get(child, one).nodes) for child in below)
        sizes[node] = own.size + sum(sizes.get(child, known.get(child, one).size) for child in below)
    if nodes[form.root] > limits.nodes:
        raise InvalidInput(
            f"{form.root} may have at most {limits.nodes:,} nodes, and would have {nodes[form.root]:,}",
            field=field,
        )
    if sizes[form.root] > limits.size:
        mb = 1024 * 1024
        raise InvalidInput(
            f"the tree of {form.root} may have at most {limits.size / mb:,.0f} MB, "
            f"and would have {sizes[form.root] / mb:,.0f}",
            field=field,
        )


def unreachable(form: EditForm) -> list[str]:
    """Returns the units that can't be reached from the root."""
    reached = {form.root}
    left = [form.root]
    while left:
        below = [child for child in form.children.get(left.pop(), ()) if child not in reached]
        reached.update(below)
        left += below
    return [unit for unit in form.units if unit not in reached]


def repeated(identifiers: Iterable[str]) -> list[str]:
    """Returns the ids that are there more than once."""
    return [identifier for identifier, times in Counter(identifiers).items() if times > 1]


def named(identifiers: Iterable[str]) -> str:
    """Returns the ids as an error names them."""
    every = list(identifiers)
    more = len(every) - MOST_NAMED
    return ", ".join(every[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_units(form: EditForm, published: Collection[str]) -> None:
    if form.root in form.units:
        raise InvalidInput(f"{form.root} is the root, not a unit", field="nodesModified")
    for unit, metadata in form.units.items():
        name = metadata.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"unit {unit} has no name", field=f"nodesModified.{unit}.metadata.name")
        if metadata.get("visibility", "Parent") != "Parent" and unit not in published:
            raise InvalidInput(
                f"unit {unit} must have the visibility Parent",
                field=f"nodesModified.{unit}.metadata.visibility",
            )


def _cycle(form: EditForm) -> list[str]:
    """Returns a way from a node down to itself; empty if there is none."""
    done: set[str] = set()
    for start in (form.root, *form.units):
        above: dict[str, None] = {}
        # A node comes off the stack twice: on the way down, and when all below it is done.
        stack = [(start, False)]
        while stack:
            node, is_done = stack.pop()
            if is_done:
                del above[node]
                done.add(node)
            elif node in above:
                way = list(above)
                return [*way[way.index(node) :], node]
            elif node not in done:
                above[node] = None
                stack.append((node, True))
                stack += [(child, False) for child in form.children.get(node, ())]
    return []


def _downwards(form: EditForm) -> list[str]:
    """Returns the root and the units below it, each after all of its parents. There must be no cycle."""
    order: list[str] = []
    done: set[str] = set()
    stack = [(form.root, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(child, False) for child in form.children.get(node, ()) if child in form.units]
    return order[::-1]
