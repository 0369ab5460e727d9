"""What became of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Counts:
    """What became of things of one kind. ``different`` counts those that somebody changed since. They were left as they
    are."""

    loaded: int = 0
    there_already: int = 0
    different: int = 0

    def add(self, *, there: bool) -> None:
        if there:
            self.there_already += 1
        else:
            self.loaded += 1

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            self.loaded + other.loaded,
            self.there_already + other.there_already,
            self.different + other.different,
        )


@dataclass(slots=True)
class OuladReport:
    """What became of everything.

    - ``views`` counts pairs of a learner and a site.
    - ``attempts`` counts pairs of a learner and an assessment with a score. ``banked`` are those of them that came from an
      earlier presentation.
    - ``unscored`` counts pairs of a learner and an assessment without a score. Nothing is sent of them.
    """

    courses: Counts = field(default_factory=Counts)
    learners: Counts = field(default_factory=Counts)
    enrolments: Counts = field(default_factory=Counts)
    unenrolments: Counts = field(default_factory=Counts)
    views: Counts = field(default_factory=Counts)
    groups: Counts = field(default_factory=Counts)
    memberships: Counts = field(default_factory=Counts)
    attempts: Counts = field(default_factory=Counts)
    banked: Counts = field(default_factory=Counts)
    unscored: Counts = field(default_factory=Counts)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "OuladReport":
        """Returns the report that ``document`` wrote. What the document does not name is zero."""
        return cls(**{name: Counts(*counts) for name, counts in document.items()})

    def document(self) -> dict[str, list[int]]:
        """Returns the report for a job's checkpoint."""
        return {name: [c.loaded, c.there_already, c.different] for name, c in self._counts().items()}

    def plus(self, other: "OuladReport") -> "OuladReport":
        ours, theirs = self._counts(), other._counts()
        return OuladReport(**{name: counts.plus(theirs[name]) for name, counts in ours.items()})

    def again(self) -> "OuladReport":
        """Returns the report of a run that finds all of this there."""
        return OuladReport(
            **{name: Counts(0, c.loaded + c.there_already, c.different) for name, c in self._counts().items()}
        )

    def _counts(self) -> dict[str, Counts]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
