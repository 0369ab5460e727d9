"""How large partitions are: drawn at random, by a seed."""

import math
import random
from dataclasses import dataclass
from statistics import NormalDist

from bench.scale.costs import COSTS, STATES_OF_A_KEY
from bench.scale.load import Load

SEED = 20_140_601
DRAWN = 200_000
SPREAD = 1.0
"""Of the logarithm of how much a learner does in a course, as in OULAD: one of a hundred does ten times the median."""
BUCKETS = 16
"""Of a context's list of learners, unless its creator names another number."""
GOOD = 100_000_000
"""Bytes of a partition that Cassandra likes; it warns at this size."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A table's partitions: bytes of the middle one, of one in a thousand, and of the largest of all."""

    table: str
    key: str
    middle: float
    thousandth: float
    largest: float

    @property
    def is_good(self) -> bool:
        return self.largest <= GOOD


def partitions_of(load: Load) -> list[Partition]:
    chance = random.Random(SEED)
    mean_views = load.views_each / load.enrolments_each
    middle = mean_views / math.exp(SPREAD**2 / 2)
    views = sorted(middle * math.exp(chance.gauss(0, SPREAD)) for _ in range(DRAWN))
    enrolments = sorted(1 + chance.expovariate(1 / (load.enrolments_each - 1)) for _ in range(DRAWN))
    course = load.largest_course()
    usual = load.enrolments / load.courses
    return [
        _drawn(
            "user_content_consumption", "learner, collection", views, _most_views(load, middle), COSTS.view
        ),
        _drawn("user_enrolments", "learner", enrolments, enrolments[-1] * 2, COSTS.enrolment_row),
        _drawn("user_activity_agg_v2", "activity, learner", [1.0], 4, COSTS.figures / STATES_OF_A_KEY),
        Partition(
            "enrolment_by_context",
            f"context, collection, 1 of {BUCKETS}",
            *(learners / BUCKETS * COSTS.roster_row for learners in (usual, course, course)),
        ),
    ]


def _drawn(table: str, key: str, sizes: list[float], largest: float, each: float) -> Partition:
    def at(share: float) -> float:
        return sizes[min(len(sizes) - 1, int(len(sizes) * share))] * each

    return Partition(table, key, at(0.5), at(0.999), largest * each)


def _most_views(load: Load, middle: float) -> float:
    """What the most eager of all enrolments is expected to have: nobody can draw a hundred million."""
    return middle * math.exp(SPREAD * NormalDist().inv_cdf(1 - 1 / max(2.0, load.enrolments)))
