"""A collection's tree as one learner stands in it: each leaf and unit, and where to go on (R-ENROL-6)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resolvers.collections import Tree
from rules.hierarchy import Json
from rules.progress import Progress, Status, progress_of, status_of


@dataclass(frozen=True, slots=True)
class LearnerTree:
    """A tree and the learner's statuses in it, by leaf. A leaf that was not started may be left out."""

    tree: Tree
    statuses: Mapping[str, int]

    def contents(self) -> Iterator[tuple[Json, Status]]:
        """Gives every leaf with its status, each once, in the tree's order."""
        for leaf in self.tree.leaves():
            yield leaf, status_of(self.statuses.get(leaf["identifier"]))

    def units(self) -> Iterator[tuple[Json, Progress]]:
        """Gives every inner collection below the root with its progress, each once, in the tree's order."""
        for unit in self.tree.units():
            yield unit, progress_of(self.tree.relations.required(unit["identifier"]), self.statuses)

    def next_content(self) -> Json | None:
        """The first required leaf that is not completed, in the tree's order. None if nothing is missing."""
        relations = self.tree.relations
        missing = {
            leaf for leaf in relations.required(relations.root) if self.statuses.get(leaf) != Status.COMPLETED
        }
        if not missing:
            return None
        return next((node for leaf, node in self.tree.hierarchy.nodes.items() if leaf in missing), None)
