"""The funnel of a collection: how many of its learners started and completed each of its units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rules.errors import InvalidInput
from rules.hierarchy import DEEPEST, Hierarchy, Json, RelationTree, children_of, is_collection
from rules.learners import ATTRIBUTES
from rules.metric_columns import CONTEXT
from rules.metric_filters import Among, Filter, conditions
from rules.metric_tables import share

MOST_STEPS = 200
_ENROLLED = "enrolled_"


@dataclass(frozen=True, slots=True)
class Reached:
    """How many learners there are, and how many of them started and completed."""

    enrolled: int = 0
    started: int = 0
    completed: int = 0

    @property
    def started_share(self) -> float | None:
        return share(self.started, self.enrolled)

    @property
    def completed_share(self) -> float | None:
        return share(self.completed, self.enrolled)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a tree. ``depth``: 1 below the collection. ``required_count``: distinct required leaves."""

    unit_id: str
    name: str
    depth: int
    required_count: int


def units_of(hierarchy: Hierarchy, relations: RelationTree, depth: int) -> list[Unit]:
    """Returns the units of the first ``depth`` levels in the tree's order. A unit in two places is where it comes first.
    InvalidInput (field depth) for more than MOST_STEPS."""
    if not 1 <= depth <= DEEPEST:
        raise InvalidInput(f"depth must be from 1 to {DEEPEST}", field="depth")
    found: dict[str, Unit] = {}
    for node, level in _below(hierarchy.root, depth):
        unit_id = str(node["identifier"])
        found.setdefault(unit_id, Unit(unit_id, str(node["name"]), level, len(relations.required(unit_id))))
    if len(found) > MOST_STEPS:
        raise InvalidInput(
            f"a funnel has at most {MOST_STEPS} units, this one {len(found)}: ask for a smaller depth",
            field="depth",
        )
    return [*found.values()]


def checked_learners(filter: Filter | None) -> Filter | None:  # noqa: A002
    """Returns the filter where it is of learners and enrolments, which are the same in each unit. InvalidInput names what
    is of one unit alone, such as progress."""
    for part in conditions(filter):
        name = part.dimension if isinstance(part, Among) else part.measure
        if not (name in ATTRIBUTES or name == CONTEXT or name.startswith(_ENROLLED)):
            raise InvalidInput(
                f"a funnel filters by attributes of learners, by CONTEXT and by enrolment; {name.upper()} is another one "
                "in each unit",
                field="filter",
            )
    return filter


def _below(node: Json, depth: int, level: int = 1) -> Iterator[tuple[Json, int]]:
    units: Sequence[Json] = [child for child in children_of(node) if is_collection(child)]
    for unit in units:
        yield unit, level
        if level < depth:
            yield from _below(unit, depth, level + 1)
