"""An adversary asks thousands of tables by attributes, all that a creator is let ask, and must not learn how many learners
there are in one cohort below the limit.

With COHORT_OULAD every fourth student of OULAD is there: modules as collections, presentations as contexts. Without it a
class of its own is, with rare values as OULAD has them.
"""

import asyncio
import csv
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import pytest_asyncio

from loaders.metrics.tables import Answered
from loaders.session import Session
from resolvers.metrics import activity_metrics
from rules.cohorts import Path as Values
from rules.errors import CohortError, Forbidden
from rules.metric_columns import WITHHELD
from rules.metric_queries import OrderBy, metric_query
from rules.metrics import Counts, Metric
from rules.progress import Status
from rules.states import State
from rules.viewers import Role
from tests.conftest import COURSE, Instance, embedded_urls, instance_of, is_thorough
from tests.loaders.figures import fill
from tests.rules.adversary import Adversary

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

OULAD = os.environ.get("COHORT_OULAD")
EVERY = 4
TABLES = 16
"""Of the same places, so that they cost one query together."""
LEAST = 5
COLUMNS = {
    "gender": "gender",
    "region": "region",
    "education": "highest_education",
    "age_band": "age_band",
    "deprivation_band": "imd_band",
}
"""Attributes of learners, and the columns of OULAD that they come from."""
Place = tuple[str, str]
Cell = tuple[Place, str | None]


@dataclass(frozen=True)
class School:
    """Everybody who is enrolled: the place, and the value of each attribute. ``instance`` has them as states."""

    instance: Instance
    learners: Sequence[tuple[Place, Mapping[str, str]]]
    places: Sequence[Place]
    values: Mapping[str, Sequence[str | None]]
    truth: Mapping[str, Counter[Cell]] = field(default_factory=dict)

    def session(self) -> Session:
        return self.instance.session("cleo", Role.CREATOR)


def of_oulad(folder: Path) -> Iterator[tuple[Place, Mapping[str, str]]]:
    with (folder / "studentRegistration.csv").open(encoding="utf-8") as file:
        left = {
            (row["code_module"], row["code_presentation"], row["id_student"])
            for row in csv.DictReader(file)
            if row["date_unregistration"]
        }
    with (folder / "studentInfo.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            module, presentation, student = row["code_module"], row["code_presentation"], row["id_student"]
            if int(student) % EVERY == 0 and (module, presentation, student) not in left:
                attributes = {name: row[column] for name, column in COLUMNS.items() if row[column]}
                yield (module, f"{module}-{presentation}"), attributes


def of_its_own() -> Iterator[tuple[Place, Mapping[str, str]]]:
    """Values that are rarer the later they come: of the last there are a few, or one, or none in a place."""
    random = Random(14)
    for module in "ABC":
        for presentation in "12345":
            for _ in range(random.choice((3, 12, 30, 60))):
                yield (
                    (module, f"{module}-{presentation}"),
                    {
                        name: f"{name} {min(int(random.expovariate(0.9)), most)}"
                        for name, most in zip(COLUMNS, (1, 6, 4, 2, 8), strict=True)
                    },
                )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def school(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[School]:
    learners = list(of_oulad(Path(OULAD)) if OULAD else of_its_own())
    places = sorted({place for place, _ in learners})
    truth = {name: Counter((place, has.get(name)) for place, has in learners) for name in COLUMNS}
    values = {name: sorted({value for _, value in truth[name]}, key=str) for name in COLUMNS}
    states = [
        State(
            *(place[0], place[0], f"cb:{place[1]}", str(number), 1),
            status=Status(number % 3),
            completion_percentage=100 * (number % 3) // 2,
            active=True,
            attributes=has,
        )
        for number, (place, has) in enumerate(learners)
    ]
    folder = tmp_path_factory.mktemp("school") / "data"
    async with instance_of(embedded_urls(), folder, groups=True) as instance:
        for module in sorted({module for module, _ in places}):
            await instance.publish({**COURSE, "identifier": module})
        for module, context in places:
            await instance.batch(context, module)
        await fill(instance, states)
        yield School(instance, learners, places, values, truth)


@dataclass(frozen=True)
class Question:
    """A table, and which places the asker knows to be in it, those of the other side of a comparison too."""

    ask: Mapping[str, Any]
    attribute: str | None
    places: Sequence[Place]
    others: Sequence[Place]


def questions(school: School, number: int) -> Iterator[list[Question]]:
    """First every place by itself by each attribute, then whatever may be asked, some tables of the same learners at a
    time."""
    every: dict[str, Any] = {
        "dimensions": ("collection", "context"),
        "metrics": [Metric.ENROLLED_COUNT],
        "limit": 1000,
    }
    for name in (None, *COLUMNS):
        dimensions = (*every["dimensions"], *([name] if name else []))
        yield [Question({**every, "dimensions": dimensions}, name, school.places, ())]
    random = Random(number)
    for _ in range(number // TABLES):
        filter_, chosen = some_places(random, school)
        attribute = random.choice(list(COLUMNS))
        yield [question(random, school, attribute, filter_, chosen) for _ in range(TABLES)]


def some_places(random: Random, school: School) -> tuple[dict[str, Any], list[Place]]:
    """Places by a filter, by names, or by the complement of others."""
    some = random.sample(school.places, random.randint(1, len(school.places)))
    modules = sorted({module for module, _ in some})
    contexts = sorted(context for _, context in some)
    by_context = {"dimension": {"dimension": "context", "in": contexts}}
    by_module = {"dimension": {"dimension": "collection", "in": modules}}
    match random.randrange(6):
        case 0:
            return {}, list(school.places)
        case 1:
            return {"context_ids": contexts}, some
        case 2:
            return {"activity_ids": modules}, [place for place in school.places if place[0] in modules]
        case 3:
            return {"filter": {"not": by_context}}, [place for place in school.places if place not in some]
        case 4:
            filter_ = {"or": [by_context, by_module]}
            return {"filter": filter_}, [place for place in school.places if place[0] in modules]
        case _:
            return {"filter": {"and": [by_context, by_module]}}, some


def question(
    random: Random, school: School, attribute: str, chosen: Mapping[str, Any], places: Sequence[Place]
) -> Question:
    others: Sequence[Place] = ()
    dimensions = [name for name in ("collection", "context") if random.random() < 0.5]
    dimensions.insert(random.randint(0, len(dimensions)), attribute)
    ask: dict[str, Any] = {
        **chosen,
        "dimensions": dimensions,
        "metrics": [
            Metric.ENROLLED_COUNT,
            *random.sample([Metric.COMPLETED_COUNT, Metric.AVERAGE_PROGRESS], 1),
        ],
        "totals": random.random() < 0.5,
        "order": [OrderBy("enrolledCount", descending=random.random() < 0.5)],
        "limit": random.choice((1, 3, 1000)),
        "shares": [Metric.ENROLLED_COUNT],
    }
    if "context" not in dimensions and "context_ids" in chosen and random.random() < 0.5:
        others = random.sample(school.places, 2)
        ask["compare"] = {"contextIds": [context for _, context in others]}
    # What is tried as well, and refused: a cohort is cut by what somebody is, or when they came, or by two attributes.
    match random.randrange(12):
        case 0:
            value = random.choice(school.values[attribute]) or "nothing"
            cut = {"not": {"dimension": {"dimension": attribute, "in": [value]}}}
            ask["filter"] = {"and": [cut, ask["filter"]]} if "filter" in ask else cut
        case 1:
            ask["dimensions"] = [*dimensions, random.choice([name for name in COLUMNS if name != attribute])]
        case 2:
            ask["dimensions"] = [*dimensions, random.choice(("status", "enrolled_day", "unit"))]
    return Question(ask, attribute, places, others)


async def answered(session: Session, asked: Question) -> Answered | None:
    """None where it is refused."""
    try:
        return await activity_metrics(session, metric_query(**asked.ask))
    except Forbidden:
        return None
    except CohortError as error:
        raise AssertionError(asked) from error


def learns(
    adversaries: Mapping[str, Adversary[Cell]], school: School, asked: Question, answer: Answered
) -> None:
    """Tells the adversaries what the table says."""
    names = [column.name for column in answer.table.columns]
    rows: list[list[Any]] = answer.table.rows
    dimensions = list(asked.ask["dimensions"])
    if asked.attribute is None:
        for module, context, count in rows:
            for name, adversary in adversaries.items():
                adversary.hears([((module, context), value) for value in school.values[name]], count)
        return
    told_by, adversary = WITHHELD if WITHHELD in names else None, adversaries[asked.attribute]
    sides = [("enrolledCount", asked.places), ("comparedEnrolledCount", asked.others)]
    whole = answer.table.rows_count == len(rows)
    for column, places in sides[: 1 + bool(asked.others)]:
        groups: dict[tuple[str, ...], dict[str | None, int]] = {}
        withheld: Counter[tuple[str, ...]] = Counter()
        at = {name: names.index(name) for name in ("collection", "context") if name in dimensions}
        value_at = dimensions.index(asked.attribute)
        for row in rows:
            key = tuple(str(row[place]) for place in at.values())
            groups.setdefault(key, {})
            if told_by is not None and row[names.index(told_by)]:
                withheld[key] += row[names.index(column)]
            elif row[names.index(column)]:  # not one that the other side of a comparison alone tells
                groups[key][row[value_at]] = row[names.index(column)]
        for key, told in groups.items():
            wanted = dict(zip(at, key, strict=True))
            there = [
                place
                for place in places
                if place[0] == wanted.get("collection", place[0])
                and place[1] == wanted.get("context", place[1])
            ]
            hears_of(adversary, there, school.values[asked.attribute], told, withheld[key] if whole else None)
        totals: list[Any] | None = answer.table.totals
        if totals is not None:
            cells = [(place, value) for place in places for value in school.values[asked.attribute]]
            adversary.hears(cells, totals[names.index(column)])


def hears_of(
    adversary: Adversary[Cell],
    places: Sequence[Place],
    values: Sequence[str | None],
    told: Mapping[str | None, int],
    withheld: int | None,
) -> None:
    """Of one place the rows are exact. Of more, those who are withheld in some may have any value. ``withheld``: None where
    the limit cut rows off."""
    for value, count in told.items():
        cells = [(place, value) for place in places]
        if len(places) == 1:
            adversary.hears(cells, count)
        elif withheld is not None:
            adversary.hears(cells, count, count + withheld)
    if withheld is not None:
        others = [(place, value) for place in places for value in values if value not in told]
        adversary.hears(others, withheld if len(places) == 1 else 0, withheld)
        everybody = [(place, value) for place in places for value in values]
        adversary.hears(everybody, sum(told.values()) + withheld)


async def attack(school: School, number: int) -> tuple[Mapping[str, Adversary[Cell]], int, int]:
    """What somebody knows by attribute after so many tables, how many were answered, and how many refused."""
    adversaries = {
        name: Adversary([(place, value) for place in school.places for value in values])
        for name, values in school.values.items()
    }
    told = refused = 0
    for batch in questions(school, number):
        session = school.session()
        for asked, answer in zip(
            batch, await asyncio.gather(*(answered(session, asked) for asked in batch)), strict=True
        ):
            told, refused = told + (answer is not None), refused + (answer is None)
            if answer is not None:
                learns(adversaries, school, asked, answer)
    return adversaries, told, refused


def found_out(adversary: Adversary[Cell]) -> list[object]:
    """Cohorts below the limit whose number of learners is known: a cell, or a sum of some values in a place."""
    found: list[object] = [
        cell for cell, (least, most) in adversary.knows().items() if 0 < least == most < LEAST
    ]
    by_place = Counter(place for place, _ in adversary.cells)
    for cells, number in adversary.exactly():
        parts = Counter(place for place, _ in cells)
        if 0 < number < LEAST and any(parts[place] < by_place[place] for place in parts):
            found.append((cells, number))
    return found


async def test_thousands_of_tables_tell_of_no_small_cohort(school: School) -> None:
    """And what they tell is right: every cell has so many learners as the adversary thinks there may be."""
    small = [cell for cells in school.truth.values() for cell, count in cells.items() if count < LEAST]
    number = 2_400 if is_thorough() else 240
    adversaries, told, refused = await attack(school, number)
    assert len(small) > 20
    assert told > 0.7 * number
    assert refused > 0.05 * number
    for name, adversary in adversaries.items():
        assert found_out(adversary) == []
        knows = adversary.knows()
        assert all(knows[cell][0] <= school.truth[name][cell] <= knows[cell][1] for cell in knows)
        assert any(least == most >= LEAST for least, most in knows.values())


async def test_the_same_adversary_finds_small_cohorts_that_are_left_out_alone(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a small value were withheld, and nothing with it: the total less all others is that value."""

    def without_complement(cells: Mapping[Values, Counts], least: int) -> frozenset[Values]:
        return frozenset(path for path, counts in cells.items() if cast("int", counts["enrolled"]) >= least)

    monkeypatch.setattr("rules.privacy.told_paths", without_complement)
    adversaries, _, _ = await attack(school, 0)
    assert any(found_out(adversary) for adversary in adversaries.values())


async def test_the_same_adversary_finds_small_cohorts_where_filters_may_cut_them(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a creator might filter by attributes: a place less its learners with other values is a small one."""
    monkeypatch.setattr("resolvers.metrics.check_told", lambda query: None)
    adversaries, _, _ = await attack(school, 0)
    attribute, (place, value) = next(
        (name, cell)
        for name, cells in school.truth.items()
        for cell, count in cells.items()
        if count < LEAST and sum(cells[cell[0], each] for each in school.values[name]) > 30
    )
    other = next(name for name in COLUMNS if name not in (attribute, "region"))
    without = {
        "not": {"dimension": {"dimension": attribute, **({"in": [value]} if value else {"isNull": True})}}
    }
    ask: dict[str, Any] = {
        "dimensions": [other],
        "metrics": [Metric.ENROLLED_COUNT],
        "context_ids": [place[1]],
        "filter": without,
    }
    answer = await activity_metrics(school.session(), metric_query(**ask))
    rows: list[list[Any]] = answer.table.rows
    left = sum(row[-1] for row in rows)
    adversary = adversaries[attribute]
    adversary.hears([(place, each) for each in school.values[attribute] if each != value], left)
    assert found_out(adversary)
