"""Counts the figures of a collection and its units under one context, from rows."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

import orjson

from druid_specs import ACTIVITY_STATE
from ingest.aggregation import static_files
from ingest.aggregation.turn import Turn
from loaders.activity_histories import history_write
from loaders.aggregates import COUNTED_COLUMNS, StoredAggregate, aggregates_by_key
from loaders.learners import learners_by_id
from loaders.standings import aggregate_context_of
from loaders.totals import (
    StoredActivityResult,
    activity_results,
    activity_row_key,
    cells_blob,
    pending_blob,
)
from rules.aggregates import AggregateKey
from rules.contents import ContentKind
from rules.identifiers import ProgressKey
from rules.learners import ATTRIBUTES
from rules.metrics import Counts
from rules.progress import percentage
from rules.states import State
from rules.totals import (
    ALL,
    MONTHS,
    Cell,
    Dimensions,
    Tally,
    Total,
    cell_key,
    cell_state,
    figures_of,
    vanished,
)
from stores.events import Message
from stores.rows import Row, Write
from stores.tables import ACTIVITY_AGGREGATES, ENROLMENTS_BY_CONTEXT
from stores.topics import TOTALS

Place = tuple[str, str]
"""Collection and context, as enrolments have them."""

DIMENSIONS = Dimensions(tuple(column for column in ACTIVITY_STATE.latest if column in ATTRIBUTES), MONTHS)
"""What cells are made by."""

PAGE = 200
"""Enrolments that are read at a time from each bucket of a context."""
MOST_ROWS = 1000
"""Aggregates that are read and counted at a time. It bounds the memory, and how long the event loop is held up."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What is stored of an activity under a context, and the cells that it should have. ``cells`` is None if it should
    be gone."""

    total: Total
    before: StoredActivityResult | None
    cells: Mapping[Cell, Counts] | None

    @property
    def is_needed(self) -> bool:
        """True if the stored result differs, or if an earlier run died halfway."""
        before = self.before
        return (
            self.cells is None or before is None or before.pending is not None or before.cells != self.cells
        )

    @property
    def known(self) -> frozenset[Cell]:
        """Returns the cells that were sent, or perhaps were."""
        return frozenset({*self.before.cells, *(self.before.pending or ())} if self.before else ())

    @property
    def gone(self) -> dict[Cell, Counts]:
        return vanished(self.known, self.cells or ())

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Returns the key of the row."""
        total = self.total
        return activity_row_key((total.activity_id, total.collection_id, total.context_id))

    def figures(self, cells: Mapping[Cell, Counts]) -> tuple[dict[str, float], dict[str, datetime]]:
        """Returns the figures, and when a run first saw each as it is now. Not every change has a time of its own in
        the rows."""
        figures = figures_of(cells)
        stored, updated = (self.before.figures, self.before.last_updated) if self.before else ({}, {})
        return figures, {
            metric: updated[metric] if stored.get(metric) == value and metric in updated else self.total.as_of
            for metric, value in figures.items()
        }


async def aggregate_place(turn: Turn, place: Place, named: Set[str] = frozenset()) -> None:
    """Sends and writes what has changed of the collection and each unit.

    ``named`` are the activities that states were sent of. So a unit is found that the published version no longer has.
    """
    shared, (collection_id, context_id) = turn.shared, place
    key = ProgressKey("", collection_id, context_id)
    # The memory may be from before the change that is counted here. Nothing would make it be counted again.
    shared.library.contents.forget(collection_id)
    shared.library.contexts.forget(context_id)
    context = await shared.library.contexts.load(context_id) if key.has_context else None
    aggregate_context = aggregate_context_of(key, context)
    content, tree = (await shared.library.published([collection_id])).get(collection_id, (None, None))
    cells: dict[str, dict[Cell, Counts]] = {}
    if content is not None and content.kind is ContentKind.COLLECTION and tree is not None:
        buckets = context.buckets if context else 1
        cells = await _counted(turn, place, aggregate_context, tree.collections, buckets)
    found = await activity_results(
        shared.stores.rows,
        [(activity, collection_id, aggregate_context) for activity in {*cells, *named}],
    )
    changes = []
    for (activity_id, _, _), before in found.items():
        if activity_id in cells or before is not None:
            total = Total(activity_id, collection_id, aggregate_context, turn.version, turn.as_of)
            changes.append(_Change(total, before, cells.get(activity_id)))
    await _settle(turn, changes)


async def let_vanish(turn: Turn, stored: StoredActivityResult) -> None:
    """Removes what is stored of an activity and context that is gone, or that nobody was ever enrolled in."""
    total = Total(stored.activity_id, stored.collection_id, stored.context_id, turn.version, turn.as_of)
    await _settle(turn, [_Change(total, stored, None)])


async def _settle(turn: Turn, changes: Sequence[_Change]) -> None:
    """Sends the events, then writes the rows, then the files.

    Before all of them the history gets what was counted, and the rows what is ``pending``. The history comes first, as a
    row that has all of its figures is not looked at again. If a run dies after its events, the row tells which cells it
    may have sent. The next run then sends all of them again, whatever the row's figures say. Cells that are gone by
    then are sent as zeros.
    """
    rows, report = turn.shared.stores.rows, turn.report
    needed = [change for change in changes if turn.everything or change.is_needed]
    messages = [message for change in needed for message in _messages(change)]
    await rows.write(
        *(write for change in needed for write in (_announcement(turn, change), _kept(turn, change)))
    )
    async with turn.sent.in_turn:
        await turn.shared.stores.events.send(TOTALS.name, *messages)
        for change in needed[-1:]:
            turn.sent.total, turn.sent.cells = change.total, {**(change.cells or {}), **change.gone}.keys()
    await rows.write(*(_result_write(turn, change) for change in needed))
    for change in changes:
        name = static_files.activity_name(change.total)
        if change.cells is None:
            await turn.remove_file(name)
        else:
            figures, rule = change.figures(change.cells), turn.shared.privacy.public
            content = static_files.activity_file(change.total, *figures, change.cells, rule)
            await turn.write_file(name, content)
    report.cells += len(messages)
    report.vanished += sum(len(change.gone) for change in needed)
    report.activities += sum(change.cells is not None for change in needed)
    report.removed += sum(change.cells is None for change in needed)


def _announcement(turn: Turn, change: _Change) -> Write:
    values = {"pending": pending_blob(change.known.union(change.cells or ()))}
    return Write(ACTIVITY_AGGREGATES, change.key, values, timestamp=turn.announcing)


def _kept(turn: Turn, change: _Change) -> Write:
    counts = None if change.cells is None else change.cells[ALL]
    return history_write(change.total, turn.shared.day_zone.day_of(turn.as_of), counts)


def _messages(change: _Change) -> Iterator[Message]:
    for cell, counts in {**(change.cells or {}), **change.gone}.items():
        yield Message(cell_key(change.total, cell), orjson.dumps(cell_state(change.total, cell, counts)))


def _result_write(turn: Turn, change: _Change) -> Write:
    """Returns the write, USING TIMESTAMP version: a process that lost its lease can't overwrite what is newer."""
    if change.cells is None:
        return Write(ACTIVITY_AGGREGATES, change.key, {}, timestamp=turn.version, delete=True)
    figures, updated = change.figures(change.cells)
    values = {
        "aggregates": figures,
        "agg_last_updated": updated,
        "cells": cells_blob(change.cells),
        "pending": None,
        "version": turn.version,
        "as_of": turn.as_of,
    }
    return Write(ACTIVITY_AGGREGATES, change.key, values, timestamp=turn.version)


async def _counted(
    turn: Turn, place: Place, aggregate_context: str, activities: Sequence[str], buckets: int
) -> dict[str, dict[Cell, Counts]]:
    """Returns the cells of each activity. There are none if nobody was ever enrolled.

    A unit counts those who have begun it. They have a state of it, so every source gives the same figures.
    """
    tallies = {activity: Tally(DIMENSIONS) for activity in activities}
    units, counted = [activity for activity in activities if activity != place[0]], set[str]()
    most = max(1, MOST_ROWS // max(1, len(units)))
    async for page in _enrolled(turn, place, buckets):
        counted.add(place[0])
        active = [row for row in page if row["active"]]
        for first in range(0, len(active), MOST_ROWS):
            learners = await _learners(turn, place, aggregate_context, active[first : first + MOST_ROWS])
            tallies[place[0]].count([learner.state(learner.root, learner.stored) for learner in learners])
            begun = [each for each in learners if each.stored is not None and each.stored.has_begun]
            for some in range(0, len(begun) if units else 0, most):
                states = await _states_of_units(turn, units, begun[some : some + most])
                for activity, of_unit in states.items():
                    counted.add(activity)
                    tallies[activity].count(of_unit)
    return {activity: tally.cells() for activity, tally in tallies.items() if activity in counted}


@dataclass(frozen=True, slots=True)
class _Enrolled:
    """A learner whose enrolment is active. ``root`` is the key of the collection's aggregate, ``stored`` that aggregate,
    None if there is none."""

    root: AggregateKey
    enrolled_on: datetime | None
    attributes: Mapping[str, str]
    stored: StoredAggregate | None

    def state(self, key: AggregateKey, stored: StoredAggregate | None) -> State:
        """Returns the learner's state in the collection or a unit. A learner without an aggregate has not begun."""
        if stored is None:
            return State(
                *key, version=0, active=True, enrolled_on=self.enrolled_on, attributes=self.attributes
            )
        return State(
            *key,
            version=stored.version,
            status=stored.status,
            completed_count=stored.completed_count,
            required_count=stored.required_count,
            completion_percentage=percentage(stored.completed_count, stored.required_count),
            time_spent=stored.time_spent,
            active=True,
            enrolled_on=self.enrolled_on,
            completed_on=stored.completed_on,
            last_accessed_on=stored.last_accessed_on,
            attributes=self.attributes,
            score=stored.score,
        )


async def _learners(
    turn: Turn, place: Place, aggregate_context: str, enrolments: Sequence[Row]
) -> list[_Enrolled]:
    """Returns those who have these enrolments, in their order."""
    rows, users = turn.shared.stores.rows, [row["userid"] for row in enrolments]
    roots = [AggregateKey(place[0], place[0], aggregate_context, user_id) for user_id in users]
    learners, stored = await asyncio.gather(
        learners_by_id(rows, users), aggregates_by_key(rows, roots, COUNTED_COLUMNS)
    )
    return [
        _Enrolled(root, row["enrolled_on"], learner.attributes if learner else {}, found)
        for root, row, learner, found in zip(roots, enrolments, learners, stored, strict=True)
    ]


async def _states_of_units(
    turn: Turn, units: Sequence[str], begun: Sequence[_Enrolled]
) -> dict[str, list[State]]:
    """Returns the states that there are, by unit. Who has not begun the collection has none: the workers write both."""
    keys = {each.root._replace(activity_id=unit): each for unit in units for each in begun}
    found = await aggregates_by_key(turn.shared.stores.rows, list(keys), COUNTED_COLUMNS)
    states: dict[str, list[State]] = {}
    for (key, learner), stored in zip(keys.items(), found, strict=True):
        if stored is not None:
            states.setdefault(key.activity_id, []).append(learner.state(key, stored))
    return states


async def _enrolled(turn: Turn, place: Place, buckets: int) -> AsyncIterator[list[Row]]:
    """Gives those who are or were enrolled, from a page of each bucket at a time."""
    rows, (collection_id, context_id) = turn.shared.stores.rows, place
    columns = ("userid", "active", "enrolled_on")
    after: dict[int, tuple[str] | None] = dict.fromkeys(range(buckets))
    while after:
        pages = await asyncio.gather(
            *(
                rows.partition(
                    ENROLMENTS_BY_CONTEXT,
                    (context_id, collection_id, bucket),
                    after=last,
                    limit=PAGE,
                    columns=columns,
                )
                for bucket, last in after.items()
            )
        )
        found = [row for page in pages for row in page]
        if found:
            yield found
        after = {
            bucket: (page[-1]["userid"],)
            for bucket, page in zip(after, pages, strict=True)
            if len(page) == PAGE
        }
