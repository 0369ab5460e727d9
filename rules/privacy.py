"""Figures by attributes of learners: how large a cohort must be that they are told of, for whom, and by whose rule.

Everything that is told follows from one partition of each place (``rules/cohorts.py``). So there is no filter and no
second dimension that tells more, and whoever asks is told what he may ask for (D-LEAST-COHORT).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules.cohorts import Path, above, told_paths
from rules.errors import Forbidden
from rules.learners import ATTRIBUTES
from rules.metric_columns import COLLECTION, CONTEXT, WITHHELD, camel
from rules.metric_filters import Among, conditions
from rules.metric_queries import Key, MetricQuery
from rules.metric_tables import Groups, over_all
from rules.metrics import (
    BANDS,
    DISTRIBUTIONS,
    LATEST,
    SCORE_BANDS,
    SUMS,
    Counts,
    Metric,
    MetricValue,
    joined,
    metric_value,
)
from rules.totals import Cell, Total, ordered_cells
from rules.viewers import ALL_LEARNERS, Viewer

PLACE = (COLLECTION, CONTEXT)
"""The dimensions beside the attribute: figures are told of whole places."""
UNTOLD = frozenset({"school"})
"""Attributes that nobody is told figures by under a rule: a school is of one type, so a type less its schools would be the
smallest school."""
TOLD = {
    Metric.ENROLLED_COUNT: "enrolled",
    Metric.COMPLETED_COUNT: "enrolled",
    Metric.COMPLETION_PERCENTAGE: "enrolled",
    Metric.AVERAGE_PROGRESS: "enrolled",
    Metric.PROGRESS_DISTRIBUTION: "enrolled",
    Metric.AVERAGE_SCORE: "scored",
    Metric.SCORE_DISTRIBUTION: "scored",
    Metric.PASS_RATE: "attempted",
    Metric.ATTEMPTS_PER_LEARNER: "attempted",
    Metric.FIRST_ATTEMPT_RIGHT: "attempted",
}
"""The metrics that are told, each with the count of the learners that it is of. The last activity is one learner's moment,
seconds are as good as a name, and what does not add up can't be told of a partition."""
_PERCENTAGES = {Metric.COMPLETION_PERCENTAGE, Metric.PASS_RATE, Metric.FIRST_ATTEMPT_RIGHT}
_AVERAGES = {Metric.AVERAGE_PROGRESS, Metric.AVERAGE_SCORE, Metric.ATTEMPTS_PER_LEARNER}
_LEARNERS = {"enrolled", "completed", "scored", "attempted", *BANDS, *SCORE_BANDS}
"""The counts of learners. All others are sums over them."""
_ALWAYS = (Metric.ENROLLED_COUNT, Metric.ATTEMPTS_PER_LEARNER, Metric.AVERAGE_SCORE)
"""What the partition itself needs: SIZES. It must not depend on what is asked for."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A rule that somebody published. ``least``: learners of a cohort. ``base``: counts are told as multiples of it.
    ``least_percentage`` and ``least_average``: the learners of whom such a metric is told. ``source``: the publication."""

    name: str
    least: int
    source: str
    base: int = 1
    least_percentage: float = 0
    least_average: float = 0


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("none", 1, "no rule"),
        Profile(
            "threshold",
            5,
            "threshold rule: Glossary on Statistical Disclosure Control (UNECE/Eurostat work session, 2005)",
        ),
        Profile("nces", 10, "minimum subgroup size: SLDS Technical Brief 3, NCES 2011-603"),
        Profile(
            "hesa",
            5,
            "HESA, rounding and suppression to anonymise statistics",
            base=5,
            least_percentage=22.5,
            least_average=8,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class CohortRule:
    """What holds for a caller: a profile, and its number or that of the settings."""

    profile: Profile
    least: int

    def told(self) -> dict[str, str | int]:
        """Returns the rule as clients are told it."""
        return {"profile": self.profile.name, "leastCohort": self.least, "source": self.profile.source}

    def value(self, metric: Metric, counts: Counts) -> MetricValue:
        """Returns the metric as the profile tells it: counts rounded, percentages and averages of too few learners None.
        It follows from what is told without rounding, so it tells no more."""
        found = metric_value(metric, counts)
        learners = counts.get(TOLD[metric])
        number = learners if isinstance(learners, int) else 0
        if metric in _PERCENTAGES:
            return None if number < self.profile.least_percentage else found
        if metric in _AVERAGES:
            return None if number < self.profile.least_average else found
        if metric in DISTRIBUTIONS and isinstance(found, dict):
            return {band: self._rounded(count) for band, count in found.items()}
        return self._rounded(found) if isinstance(found, int) else found

    def counts(self, counts: Counts) -> Counts:
        """Returns the counts of a cell as the profile tells them: those that TOLD metrics are of, rounded where they count
        learners. None for the others, and beside rounded counts for sums, of which averages could be made."""
        return {name: self._count(name, counts.get(name)) for name in (*SUMS, LATEST)}

    def _count(self, name: str, count: object) -> int | None:
        if name in ("time_spent", LATEST) or not isinstance(count, int):
            return None
        if name in _LEARNERS:
            return self._rounded(count)
        return count if self.profile.base == 1 else None

    def _rounded(self, count: float) -> int:
        base = self.profile.base
        return (int(count) + base // 2) // base * base


@dataclass(frozen=True, slots=True)
class Privacy:
    """The settings. ``least``: for callers who may not read every learner; ``least_all``: for those who may."""

    profile: Profile = PROFILES["threshold"]
    least: int = field(default=PROFILES["threshold"].least)
    least_all: int = 1

    @property
    def public(self) -> CohortRule | None:
        """The rule for what anybody may read. None: as it is counted."""
        return self._rule(self.least)

    def rule_for(self, viewer: Viewer) -> CohortRule | None:
        """Returns the rule for the caller. None: they are told figures as they are counted. Who opens a link is nobody
        who is known to see every learner. Forbidden where there is no rule under which the caller could be told any."""
        sees_all = viewer.has(*ALL_LEARNERS)
        if self.profile.name == "none" and not sees_all:
            raise Forbidden(
                "an attribute of learners, which a creator sees no figures by here; there are collection, unit, context, "
                "status and time"
            )
        return self._rule(self.least_all if sees_all and not viewer.by_link else self.least)

    def _rule(self, least: int) -> CohortRule | None:
        return None if self.profile.name == "none" or least <= 1 else CohortRule(self.profile, least)


def attributes_of(query: MetricQuery) -> list[str]:
    """The attributes of learners that the query shows or filters by."""
    return sorted(query.named & set(ATTRIBUTES))


def check_told(query: MetricQuery) -> None:
    """Raises Forbidden if a query by attributes asks for more than one published partition tells."""
    names = [name for name in query.dimensions if name in ATTRIBUTES]
    for part in conditions(query.filter):
        name = part.dimension if isinstance(part, Among) else part.measure
        if name not in PLACE:
            _refuse("filter", f"{camel(name)} would cut cohorts: filter by collection and context alone")
    if len(names) != 1:
        _refuse("dimensions", f"{' and '.join(map(camel, names))} make cohorts too small: name one attribute")
    for name in query.dimensions:
        if name in UNTOLD:
            _refuse("dimensions", f"{camel(name)} is too fine: no figures are told by it")
        if name not in (*PLACE, *ATTRIBUTES):
            _refuse(
                "dimensions",
                f"{camel(name)} would cut cohorts: beside an attribute are COLLECTION and CONTEXT",
            )
    for where, metrics in (("metrics", query.metrics), ("shares", query.shares)):
        for metric in metrics:
            if metric not in TOLD:
                there = ", ".join(told.value for told in TOLD)
                _refuse(where, f"{metric.value} tells of single learners; there are {there}")
    if query.comparison is not None and query.comparison.period is not None:
        _refuse("compare", "a period would cut cohorts: compare contexts")


def _refuse(where: str, why: str) -> None:
    raise Forbidden(
        f"{where}: {why}; figures by attributes of learners are told of whole cohorts alone",
        field=where,
    )


def finest(query: MetricQuery) -> MetricQuery:
    """Returns the query for the cells that the partition is made of: by place, and by all rungs of the attribute's ladder.
    Nothing in it but the places depends on what else is asked."""
    attribute = _attribute(query)
    return replace(
        query,
        metrics=tuple(dict.fromkeys((*query.metrics, *query.shares, *_ALWAYS))),
        dimensions=(*PLACE, *above(attribute), attribute),
        order=(),
        totals=False,
        shares=(),
        labels=False,
        comparison=None,
    )


def shown(query: MetricQuery) -> MetricQuery:
    """Returns the query of the table that is shown: one column more says which rows are of withheld values."""
    return replace(query, dimensions=(*query.dimensions, WITHHELD))


def told_groups(query: MetricQuery, cells: Groups, rule: CohortRule) -> Groups:
    """Returns the groups of ``shown(query)`` out of those of ``finest(query)``. Every learner is in one of them: in that of
    his value, or in the withheld one of his place."""
    places: defaultdict[Key, dict[Path, Counts]] = defaultdict(dict)
    for key, counts in cells.by_key.items():
        path = tuple(None if part is None else str(part) for part in key[len(PLACE) :])
        places[key[: len(PLACE)]][path] = counts
    attribute, members = _attribute(query), defaultdict[Key, list[Counts]](list)
    for place, paths in places.items():
        told = told_paths(paths, rule.least)
        for path, counts in paths.items():
            values = {**dict(zip(PLACE, place, strict=True)), attribute: path[-1] if path in told else None}
            members[*(values[name] for name in query.dimensions), path not in told].append(counts)
    counted = finest(query)
    everything = over_all(counted, cells.by_key) if query.totals or query.shares else {}
    by_key = {key: _sum(counted, those) for key, those in members.items()}
    return Groups(by_key, everything, value=rule.value)


def _sum(query: MetricQuery, those: list[Counts]) -> Counts:
    return {name: joined(name, [counts.get(name) for counts in those]) for name in query.counts}


def _attribute(query: MetricQuery) -> str:
    return next(name for name in query.dimensions if name in ATTRIBUTES)


def public_cells(
    total: Total, cells: Mapping[Cell, Counts], rule: CohortRule | None
) -> list[tuple[Cell, bool, Counts]]:
    """Returns the cells of a total that anybody may read, each with whether it is of all values that are withheld. Cells of
    no attribute are told as they are; of a unit there are no others, as its learners are some of its collection's.

    An attribute is told where those above it on the ladder have one value in this place: of more, cells of one attribute
    do not say which lie within which."""
    if rule is None:
        return [(cell, False, cells[cell]) for cell in ordered_cells(cells)]
    found = [(cell, False, cells[cell]) for cell in ordered_cells(cells) if cell[0] not in ATTRIBUTES]
    if total.activity_id != total.collection_id:
        return found
    paths: defaultdict[str, dict[Path, Counts]] = defaultdict(dict)
    for dimension, value in ordered_cells(cells):
        if dimension in ATTRIBUTES:
            paths[dimension][(value,)] = cells[dimension, value]
    for attribute, counted in paths.items():
        if attribute in UNTOLD or any(len(paths[wider]) > 1 for wider in above(attribute)):
            continue
        told = told_paths(counted, rule.least)
        found += [
            ((attribute, path[0]), False, rule.counts(counted[path])) for path in counted if path in told
        ]
        if rest := [counts for path, counts in counted.items() if path not in told]:
            withheld = {name: joined(name, [counts.get(name) for counts in rest]) for name in SUMS}
            found.append(((attribute, None), True, rule.counts(withheld)))
    return found
