"""How far workers fall behind: the busiest hour, second by second, with the end of an exam in it."""

import math
import random
from dataclasses import dataclass

from bench.scale.costs import COSTS
from bench.scale.load import Load
from bench.scale.partitions import SEED

BETWEEN = 30.0
"""Seconds between two triggers of a learner who is at work in a course."""
EXAM = 0.2
"""Of those who are active at once, how many hand in within the same EXAM_SECONDS."""
EXAM_SECONDS = 120
HOUR = 3_600
DAYS_END = 4 * 3_600
"""The hours after it, in which what is left is done."""


@dataclass(frozen=True, slots=True)
class Lag:
    """``most``: triggers that wait at most, in the fullest partition; ``seconds``: how late a figure is at most; ``busy``: the part of
    their time that workers are at work in the hour."""

    most: float
    seconds: float
    busy: float


def lag_of(load: Load, partitions: int) -> Lag:
    """With a worker process of one core for each partition. The fullest partition has three standard deviations more than its share
    of learners."""
    chance = random.Random(SEED)
    triggers = sum(call.triggers * count for call, count in load.peak().items())
    learners = max(1.0, load.active_at_once())
    uneven = 1 + 3 * math.sqrt(partitions / learners)
    usual = triggers / partitions * uneven
    exam = EXAM * learners / EXAM_SECONDS / partitions * uneven
    waiting = worked = most = latest = 0.0
    for second in range(HOUR + DAYS_END):
        arrives = usual * _fading(second)
        if HOUR // 2 <= second < HOUR // 2 + EXAM_SECONDS:
            arrives += exam
        waiting += max(0.0, chance.gauss(arrives, math.sqrt(arrives)))
        late = waiting / max(arrives, 1e-9)
        done, took = _done_in_a_second(waiting, late)
        waiting -= done
        worked += took if second < HOUR else 0.0
        if waiting > most:
            most, latest = waiting, waiting / max(done, 1e-9)
    return Lag(most, latest, worked / HOUR)


def capacity(late: float = 1.0) -> float:
    """Triggers a second of a worker that is so many seconds behind: those of a learner come together then."""
    together = max(1.0, late / BETWEEN)
    return 1_000 * together / (COSTS.worker_key_cpu + (together - 1) * COSTS.worker_trigger_cpu)


def _done_in_a_second(waiting: float, late: float) -> tuple[float, float]:
    most = capacity(late)
    return (waiting, waiting / most) if waiting < most else (most, 1.0)


def _fading(second: int) -> float:
    """The busiest hour, and how the evening ends."""
    return 1.0 if second < HOUR else max(0.1, 1.0 - (second - HOUR) / DAYS_END)


def partitions_for(load: Load, *, busy: float = 0.6) -> int:
    """Partitions of ``triggers``, each with a worker that is at work at most so much of its time."""
    triggers = sum(call.triggers * count for call, count in load.peak().items())
    return max(4, math.ceil(triggers / (capacity() * busy)))
