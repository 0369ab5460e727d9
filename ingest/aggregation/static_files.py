"""Files that an edge may serve without asking Cohort: figures of groups and activities. Learners are there by id alone.

An edge knows no viewer, so a group's file has neither names nor attributes of learners. Only the index changes with the
clock. A file whose figures are the same stays as it is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from rules.entries import NO_ENTRY, Entry
from rules.group_figures import Figure, member_figures, subject_figures
from rules.metrics import Counts
from rules.moments import milliseconds
from rules.privacy import CohortRule, public_cells
from rules.subjects import Subject
from rules.totals import Cell, Total
from stores.files import safe_name

INDEX = "index.json"
GROUPS, ACTIVITIES = KINDS = ("groups", "activities")
"""The folders."""


def group_name(group_id: str) -> str:
    return f"{GROUPS}/{safe_name(group_id)}.json"


def activity_name(total: Total) -> str:
    """Returns the name of the file. A unit is below the collection that it is looked at in."""
    unit = "" if total.activity_id == total.collection_id else f"/units/{safe_name(total.activity_id)}"
    return f"{ACTIVITIES}/{safe_name(total.collection_id)}{unit}/{safe_name(total.context_id)}.json"


def group_file(
    group_id: str, user_ids: Sequence[str], entries: Mapping[Subject, Mapping[str, Entry]]
) -> bytes:
    """Returns what ``POST /data/group/agg`` has, with the members in each activity that was aggregated."""
    return _json(
        {
            "groupId": group_id,
            "activity": [_activity(subject, user_ids, found) for subject, found in entries.items()],
        }
    )


def _activity(subject: Subject, user_ids: Sequence[str], entries: Mapping[str, Entry]) -> dict[str, Any]:
    of_members = {user_id: entries.get(user_id, NO_ENTRY) for user_id in user_ids}
    content = subject.content
    return {
        "id": subject.activity.id,
        "type": subject.activity.type,
        **({"name": content.name} if content else {}),
        "agg": _agg(subject_figures(subject, of_members.values())),
        "members": [{"id": user_id, "agg": _agg(member_figures(e))} for user_id, e in of_members.items()],
    }


def activity_file(
    total: Total,
    figures: Mapping[str, float],
    updated: Mapping[str, datetime],
    cells: Mapping[Cell, Counts],
    rule: CohortRule | None,
) -> bytes:
    """Returns the figures of everybody, and the counts of each cell. By attributes of learners they are those that anybody
    may read: a cell with ``withheld`` is of all values that are not told."""
    return _json(
        {
            "activityId": total.activity_id,
            "activityType": total.activity_type,
            "contextId": total.context_id,
            "collectionId": total.collection_id,
            "agg": [
                {"metric": metric, "value": value, "lastUpdatedOn": milliseconds(updated[metric])}
                for metric, value in figures.items()
            ],
            "cells": [
                {
                    "dimension": dimension,
                    "value": value,
                    **({"withheld": True} if withheld else {}),
                    **counts,
                }
                for (dimension, value), withheld, counts in public_cells(total, cells, rule)
            ],
        }
    )


def index_file(as_of: datetime, counts: Mapping[str, int]) -> bytes:
    """Returns when the last run began, and how many files there are of each kind."""
    return _json({"asOf": milliseconds(as_of), **counts})


def _agg(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [
        {
            "metric": figure.metric,
            "value": figure.value,
            "lastUpdatedOn": figure.last_updated_on,
        }
        for figure in figures
    ]


def _json(document: object) -> bytes:
    return orjson.dumps(document)
