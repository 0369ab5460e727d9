"""What each field of the schema costs, in one table: tests/graph/documents/test_prices.py fails for a field that may read a store and is
not in it.

Prices are of what a field reads by itself, by the code of its resolver and of the loaders behind it, as if nothing were kept:
the most that is usual, not what a warm process reads. What is below a field is priced by the fields there.
"""

from collections.abc import Mapping
from typing import NamedTuple

from resolvers.nouns import FREE, Price


class FieldPrice(NamedTuple):
    """``once``: for each time that the field is asked for. ``each``: for each member of its page, for each different one of the
    ids that it names, or, of a mutation, for each member of a list in its input."""

    once: Price = FREE
    each: Price = FREE


def _reads(partitions: int, each: int = 0) -> FieldPrice:
    return FieldPrice(Price(partitions), Price(each))


NOTHING_MORE = FieldPrice()
"""Of fields that show what another one has read."""
_ROW = _reads(1)
_TREE = _reads(8)
"""The content, its tree and relations, and the viewer's own: enrolments, aggregate, hash or views."""
_COMMAND = _reads(20, 4)
"""Reads what it names, writes, and reads again what the payload shows. For each member of a list a few rows more."""
_TABLE = FieldPrice(Price(5, 60_000))
"""A table of figures: nearly so many states are counted in half a second at Druid's pace, in which tables are to be there. The
budget takes 16 of them, about what this process makes in a second of CPU."""

GROUP = 40
"""Usual members of a group, as of a class. What larger ones cost more shows while they are read."""

_QUERIES: Mapping[str, FieldPrice] = {
    "collection": _ROW,
    "collections": _reads(0, 1),
    "hierarchyNode": _TREE,
    "content": _reads(2),
    "searchCollections": _reads(5, 2),
    "searchLearners": _reads(5, 1),
    "learner": _ROW,
    "context": _ROW,
    "group": _reads(2),
    "activityMetrics": _TABLE,
    "activityFunnel": _TABLE,
    # It goes through days of learners, of which there are more than states, and counts each learner once.
    "activeLearners": FieldPrice(Price(5, 200_000)),
    # Up to 20,000 recorded days of contexts, from rows: as much work as so many partitions.
    "activityHistory": _reads(400),
    "publication": _reads(2),
    "exhaust": _reads(2),
    "node": _TREE,
    "_entities": _reads(0, 2),
}
_MUTATIONS = (
    *("enrol", "unenrol", "startView", "updateView", "endView", "submitAssessment", "createContext"),
    *("updateContext", "updateLearner", "createGroup", "updateGroup", "suspendGroup", "reactivateGroup"),
    *("deleteGroup", "visitGroup", "leaveGroup", "downloadSummary", "deleteSummary", "eraseLearner"),
    *("closeIdleViews", "publish", "requestExhaust", "createContent", "createCollection", "updateContent"),
    *("retireContent", "updateHierarchy", "addChildren", "removeChildren", "updateRelation"),
    "reorderChildren",
)
_COLLECTIONS: Mapping[str, FieldPrice] = {
    **dict.fromkeys(("children", "node", "leafNodes", "viewerProgress", "progress"), _TREE),
    "metadata": _ROW,
    "hierarchy": _reads(2),
    "package": _ROW,
    "contexts": _reads(3, 2),
}
_LEARNERS: Mapping[str, FieldPrice] = {
    **dict.fromkeys(
        (
            *("name", "state", "district", "block", "school", "type", "gender", "region", "education"),
            *("ageBand", "deprivationBand"),
        ),
        _ROW,
    ),
    # Enrolment, aggregate, last change, content, relations and context.
    "enrolments": _reads(2, 5),
    "enrolment": _TREE,
    "views": _reads(5, 1),
    "view": _reads(3),
    "assessments": _reads(3, 2),
    "groups": _reads(2, 1),
    "contexts": _reads(2, 1),
    "summary": _TREE,
}
_VIEWS: Mapping[str, FieldPrice] = {
    **dict.fromkeys(("content", "collection", "context", "assessmentScores"), _ROW),
    # One row has them all; each is priced as if it were alone.
    **dict.fromkeys(("timeSpent", "progressDetails", "startedOn", "origin", "score", "lastUpdatedOn"), _ROW),
}
_ENROLMENTS: Mapping[str, FieldPrice] = {
    "score": _reads(2),
    **dict.fromkeys(("contentStatus", "units", "nextContent"), _TREE),
    "assessments": _reads(3, 2),
}
_SCORES: Mapping[str, FieldPrice] = {
    **dict.fromkeys(("assessment", "collection", "context", "bestAttempt", "lastAttempt"), _ROW),
    "attempts": _reads(1),
}
_GROUPS: Mapping[str, FieldPrice] = {
    "membership": _ROW,
    "members": _reads(2),
    # Figures of all members, whoever is shown: from rows a partition each, from the groups store a row each.
    "activities": FieldPrice(Price(3), Price(2 + GROUP, 2 * GROUP)),
}

PRICES: Mapping[tuple[str, str], FieldPrice] = {
    **{("Query", name): price for name, price in _QUERIES.items()},
    **{("Mutation", name): _COMMAND for name in _MUTATIONS},
    **{("Collection", name): price for name, price in _COLLECTIONS.items()},
    **{("Learner", name): price for name, price in _LEARNERS.items()},
    **{("View", name): price for name, price in _VIEWS.items()},
    **{("Enrolment", name): price for name, price in _ENROLMENTS.items()},
    **{("AssessmentScores", name): price for name, price in _SCORES.items()},
    **{("Group", name): price for name, price in _GROUPS.items()},
    **{("Summary", name): NOTHING_MORE for name in ("contentStatus", "units", "nextContent")},
    **{("Attempt", name): _ROW for name in ("assessment", "questions", "questionsSource", "archiveId")},
    **{(table, "records"): NOTHING_MORE for table in ("ActiveLearnersTable", "ActivityHistoryTable")},
    # A bucket holds some hundreds of learners, and there are up to 16.
    ("Context", "roster"): _reads(16, 6),
    ("Context", "collections"): _reads(0, 1),
    ("RosterConnection", "totalCount"): _reads(16),
    **{
        (of, "totalCount"): _reads(2)
        for of in ("EnrolmentConnection", "GroupConnection", "ContextConnection")
    },
    ("CollectionEdge", "units"): _ROW,
    ("MetricTable", "records"): NOTHING_MORE,
    ("MetricTable", "names"): NOTHING_MORE,
    ("Exhaust", "download"): _ROW,
    ("EnrolmentPayload", "enrolment"): _TREE,
    ("GroupPayload", "itemNotes"): _reads(2),
}

NAMED = {("Query", "_entities"): ("representations", "__typename")}
"""Lists of different types whose argument names the type of each member, and where it stands in that: each member is priced by
what is asked of its type."""
EDITED = {"Collection": Price(80), "HierarchyNode": Price(80)}
"""What a tree that is edited costs more: it is read and put together anew, whatever is asked of it. The 200 collections that one
field may name are allowed, and not twice."""

MEMBERS: Mapping[tuple[str, str], int] = {
    ("Group", "activities"): 5,
    ("Summary", "contentStatus"): 100,
    ("Enrolment", "contentStatus"): 100,
    ("Attempt", "questions"): 20,
    ("AttemptQuestion", "options"): 4,
    ("AttemptQuestion", "answers"): 2,
    ("MetricTable", "columns"): 8,
}
"""Usual members of lists whose size nothing in a document tells, where that is not UNTOLD."""
UNTOLD = 10
"""Members of every other such list, as the units of a course."""

SIZES: Mapping[str, int] = {
    "Boolean": 5,
    "Int": 5,
    "Float": 10,
    "ID": 80,
    "DateTime": 26,
    "String": 40,
    "JSON": 2_000,
}
"""Bytes of a scalar's value, as JSON."""
OTHER_SIZE = 20
"""Bytes of every other value: the name of an enum's."""
WORK: Mapping[tuple[str, str], int] = {
    # What reads nothing more for a collection that is named twice, and yet is done twice.
    **dict.fromkeys(
        [("Collection", name) for name in ("children", "node", "leafNodes", "viewerProgress", "progress")],
        2_000,
    ),
    **dict.fromkeys(
        [("HierarchyNode", name) for name in ("viewerProgress", "viewerView", "progress", "view")], 150
    ),
}
"""Fields that take longer to make than to write: so many bytes could be written in that time, and are counted for each."""
LARGE: Mapping[tuple[str, str], int] = {
    ("_Service", "sdl"): 140_000,
    ("Collection", "hierarchy"): 100_000,
    ("MetricTable", "rows"): 20_000,
    ("MetricTable", "records"): 60_000,
    ("MetricTable", "names"): 5_000,
    ("ActiveLearnersTable", "rows"): 10_000,
    ("ActiveLearnersTable", "records"): 25_000,
    ("ActivityHistoryTable", "rows"): 30_000,
    ("ActivityHistoryTable", "records"): 80_000,
    ("Package", "url"): 300,
    ("ExhaustDownload", "url"): 300,
    ("SummaryDownload", "url"): 300,
}
"""Bytes of the values of these fields: a tree of 50 nodes, a table of some hundred rows, a signed link."""
