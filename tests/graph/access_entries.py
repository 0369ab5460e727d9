"""What the matrix of access asks: a document for each root field, and for the fields of each type that not everybody who
has the object may ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from graph.access import Access, access_of
from graph.documents.limits import Limits
from graph.execution.upstream import core_schema
from graph.subgraph import subgraph_of
from resolvers.opaque_texts import encode
from tests.access_matrix import MAY

SUBGRAPH = subgraph_of(Limits())
"""The schema with all fields that it may have."""
CORE = core_schema(SUBGRAPH)
PLACE = 'collectionId: "course", contextId: "batch"'


@dataclass(frozen=True)
class Entry:
    """A document and who is answered. ``by_caller``: how others come to the same. ``variables``: a value for each caller.
    ``keeps``: what is not to be in the answer of who is refused."""

    name: str
    document: str
    may: frozenset[str]
    by_caller: Mapping[str, str] = field(default_factory=dict)
    keeps: str | None = None

    def asked_by(self, caller: str) -> str:
        return self.by_caller.get(caller, self.document).replace("CALLER", caller)


def entry(name: str, access: Access, document: str, **more: Any) -> Entry:
    return Entry(name, document, MAY[access], **more)


_NEEDED = {
    "Learner.enrolment": f"({PLACE})",
    "Learner.views": f"({PLACE})",
    "Learner.view": f'(contentId: "a", {PLACE})',
    "Learner.summary": f"({PLACE})",
    "HierarchyNode.view": '(contextId: "batch")',
    "HierarchyNode.progress": '(contextId: "batch")',
    "HierarchyNode.viewerView": '(contextId: "batch")',
    "HierarchyNode.viewerProgress": '(contextId: "batch")',
    "Collection.node": '(identifier: "a")',
    "Collection.progress": '(contextId: "batch")',
    "Collection.viewerProgress": '(contextId: "batch")',
}
"""Arguments of fields that do without none."""


def fields_for(kind: str, accesses: Iterable[Access]) -> str:
    """All fields of the type that are for those, and who has the object."""
    of = CORE.type_map[kind]
    assert isinstance(of, GraphQLObjectType | GraphQLInterfaceType)
    told = []
    for name, each in of.fields.items():
        if access_of(of, each) in (*accesses, Access.WITH_OBJECT):
            below = "" if is_leaf_type(get_named_type(each.type)) else " { __typename }"
            told.append(f"{name}{_NEEDED.get(f'{kind}.{name}', '')}{below}")
            needs = [
                argument
                for argument, one in each.args.items()
                if isinstance(one.type, GraphQLNonNull) and one.default_value is Undefined
            ]
            assert not needs or f"{kind}.{name}" in _NEEDED, (
                f"{kind}.{name} needs {needs}: say which in _NEEDED"
            )
    return " ".join(told)


def node(kind: str, access: Access, parts: Iterable[str], **more: Any) -> Entry:
    """By the global id, all fields that are for those who may have it so."""
    of: Any = CORE.type_map[kind]
    own = {access_of(of, each) for each in of.fields.values()}
    shown = fields_for(kind, {Access.SIGNED_IN, access} | ({Access.LEARNER_OR_GUIDES} & own))
    asked = f'{{ node(id: "{encode(kind, *parts)}") {{ __typename ... on {kind} {{ {shown} }} }} }}'
    return entry(f"node of {kind}", access, asked, **more)


def entity(kind: str, access: Access, key: str, value: str) -> Entry:
    """By its natural key, as the router of a supergraph asks."""
    asked = (
        f'{{ _entities(representations: [{{ __typename: "{kind}", {key}: "{value}" }}]) {{ __typename }} }}'
    )
    return entry(f"entity {kind}", access, asked)


def roster(selection: str) -> str:
    return f'{{ context(contextId: "batch") {{ roster {{ edges {{ node {{ {selection} }} }} }} }} }}'


def of_learner(selection: str) -> str:
    return f'{{ learner(userId: "ann") {{ {selection} }} }}'


def of_group(selection: str) -> str:
    return f'{{ group(groupId: "g") {{ members {{ edges {{ node {{ learner {{ {selection} }} }} }} }} }} }}'


_PROFILE = fields_for("Learner", {Access.LEARNER_OR_GUIDES})
_ENROLMENT = fields_for("Enrolment", {Access.LEARNER_OR_GUIDES})
_LEARNER = fields_for("Learner", {Access.LEARNER})
_OF_ANYBODY = _LEARNER.replace(f"enrolment({PLACE}) {{ __typename }}", "")
"""Without what is not found of one who never enrolled."""
_METRICS = 'metrics: [ENROLLED_COUNT] activityIds: ["course"]'


def reads(exhaust_id: str, publication_id: str) -> list[Entry]:
    """Queries. ``exhaust_id``: cleo's."""
    kinds = [
        node("Learner", Access.LEARNER, ["ann"]),
        node("Enrolment", Access.LEARNER, ["ann", "course", "batch"]),
        node("View", Access.LEARNER, ["ann", "course", "batch", "a"]),
        node("AssessmentScores", Access.LEARNER, ["ann", "course", "batch", "a"]),
        node("Attempt", Access.LEARNER, ["ann", "course", "batch", "a", "t1"]),
        node("Collection", Access.SIGNED_IN, ["course"]),
        node("Context", Access.SIGNED_IN, ["batch"]),
        node("Group", Access.GROUP_MEMBERS, ["g"]),
        node("GroupActivity", Access.GROUP_MEMBERS, ["g", "course", "Course", "query"]),
        node("Exhaust", Access.EXHAUST_ASKER, [exhaust_id]),
        node("Publication", Access.AUTHORS, [publication_id]),
    ]
    entities = [
        entity("Learner", Access.LEARNER, "userId", "ann"),
        entity("Collection", Access.SIGNED_IN, "identifier", "course"),
        entity("Context", Access.SIGNED_IN, "contextId", "batch"),
        entity("Group", Access.GROUP_MEMBERS, "groupId", "g"),
        entry("_service", Access.SIGNED_IN, "{ _service { sdl } }"),
    ]
    learners = [
        entry("learner", Access.LEARNER, of_learner(_LEARNER)),
        entry("learner's contexts", Access.PERSON, of_learner(fields_for("Learner", {Access.PERSON}))),
        entry(
            "learner's summary",
            Access.LEARNER,
            of_learner(f"summary({PLACE}) {{ {fields_for('Summary', {Access.LEARNER})} }}"),
        ),
        entry(
            "an enrolment's assessments",
            Access.LEARNER,
            of_learner(f"enrolment({PLACE}) {{ {fields_for('Enrolment', {Access.LEARNER})} }}"),
        ),
        # Whoever may have the roster has the profile and the enrolment, and goes on from neither.
        entry(
            "roster",
            Access.CONTEXT_GUIDES,
            roster(f"learner {{ {_PROFILE} }} enrolment {{ {_ENROLMENT} }}"),
            keeps="ann's",
        ),
        entry(
            "a profile",
            Access.LEARNER_OR_GUIDES,
            roster(f"learner {{ {_PROFILE} }}"),
            by_caller={"ann": of_learner(_PROFILE)},
            keeps="ann's",
        ),
        entry(
            "an enrolment",
            Access.LEARNER_OR_GUIDES,
            roster(f"enrolment {{ {_ENROLMENT} }}"),
            by_caller={"ann": of_learner(f"enrolment({PLACE}) {{ {_ENROLMENT} }}")},
        ),
        entry("from a roster to the learner", Access.EVERY_LEARNER, roster(f"learner {{ {_LEARNER} }}")),
        entry(
            "from a roster to assessments",
            Access.EVERY_LEARNER,
            roster("enrolment { assessments { __typename } }"),
        ),
        entry("from a group to the learners", Access.EVERY_LEARNER, of_group(_OF_ANYBODY)),
        entry("from a group to their names", Access.GROUP_MEMBERS, of_group("userId name")),
        entry("searchLearners", Access.EVERY_LEARNER, "{ searchLearners { __typename } }"),
        entry(
            "me", Access.SIGNED_IN, "{ me { userId name enrolments { __typename } contexts { __typename } } }"
        ),
    ]
    groups = [
        entry(
            "group",
            Access.GROUP_MEMBERS,
            f'{{ group(groupId: "g") {{ {fields_for("Group", {Access.GROUP_MEMBERS})} }} }}',
        ),
        entry(
            "group's activities",
            Access.GROUP_MEMBERS,
            '{ group(groupId: "g") { activities { '
            f"{fields_for('GroupActivity', {Access.GROUP_MEMBERS})} }} }} }}",
        ),
    ]
    figures = [
        entry(
            "activityMetrics", Access.FIGURES, f"{{ activityMetrics(query: {{ {_METRICS} }}) {{ rows }} }}"
        ),
        entry(
            "activityMetrics by two attributes",
            Access.EVERY_LEARNER,
            f"{{ activityMetrics(query: {{ {_METRICS} dimensions: [STATE, GENDER] }}) {{ rows }} }}",
        ),
        entry("activityFunnel", Access.FIGURES, '{ activityFunnel(collectionId: "course") { __typename } }'),
        entry(
            "activeLearners",
            Access.FIGURES,
            '{ activeLearners(query: { from: "2026-02-01", to: "2026-02-03" }) { __typename } }',
        ),
        entry(
            "activityHistory",
            Access.FIGURES,
            '{ activityHistory(query: { activityId: "course" from: "2026-02-01", to: "2026-02-03" }) { __typename } }',
        ),
    ]
    content = fields_for("Content", {Access.SIGNED_IN})
    collections = [
        entry(
            "collection",
            Access.SIGNED_IN,
            f'{{ collection(identifier: "course") {{ {fields_for("Collection", {Access.SIGNED_IN})} }} }}',
        ),
        entry("collections", Access.SIGNED_IN, '{ collections(identifiers: ["course"]) { name } }'),
        entry(
            "hierarchyNode",
            Access.SIGNED_IN,
            f'{{ hierarchyNode(identifier: "a") {{ {fields_for("HierarchyNode", {Access.SIGNED_IN})} }} }}',
        ),
        entry("content", Access.SIGNED_IN, f'{{ content(identifier: "a") {{ {content} }} }}'),
        entry("searchCollections", Access.SIGNED_IN, "{ searchCollections { __typename } }"),
        entry(
            "context",
            Access.SIGNED_IN,
            f'{{ context(contextId: "batch") {{ {fields_for("Context", {Access.SIGNED_IN})} }} }}',
        ),
        entry("tracking", Access.SIGNED_IN, "{ tracking { mode } }"),
        # What an argument opens.
        entry("a draft", Access.AUTHORS, f'{{ content(identifier: "book", mode: EDIT) {{ {content} }} }}'),
        entry(
            "a draft's tree", Access.AUTHORS, '{ collection(identifier: "course", mode: EDIT) { hierarchy } }'
        ),
        entry(
            "drafts' trees",
            Access.AUTHORS,
            '{ collections(identifiers: ["course"], mode: EDIT) { hierarchy } }',
        ),
        entry(
            "a node of a draft",
            Access.AUTHORS,
            '{ hierarchyNode(identifier: "a", collectionId: "course", mode: EDIT) { name } }',
        ),
        entry(
            "what is retired",
            Access.AUTHORS,
            '{ searchCollections(filter: { status: ["Retired"] }) { __typename } }',
        ),
        entry(
            "publication", Access.AUTHORS, f'{{ publication(publicationId: "{publication_id}") {{ state }} }}'
        ),
        entry("exhaust", Access.EXHAUST_ASKER, f'{{ exhaust(exhaustId: "{exhaust_id}") {{ state }} }}'),
    ]
    return [*kinds, *entities, *learners, *groups, *figures, *collections]


def _change(access: Access, call: str, *, by: str = "") -> Entry:
    name = call.partition("(")[0]
    return entry(f"{name}{by}", access, f"mutation {{ {call} {{ errors {{ code message }} }} }}")


def _changes(access: Access, *calls: str) -> list[Entry]:
    return [_change(access, call) for call in calls]


_VIEW = f'contentId: "b", {PLACE}, userId: "ann"'
_GROUP = 'groupId: "g-CALLER"'
CHANGES: list[Entry] = [
    *_changes(
        Access.ENROLLER,
        'enrol(input: { collectionId: "course", contextId: "other", userId: "ann" })',
        'unenrol(input: { collectionId: "course", contextId: "other", userId: "ann" })',
    ),
    *_changes(
        Access.CALLER,
        f"startView(input: {{ {_VIEW} }})",
        f"updateView(input: {{ {_VIEW}, progress: 10 }})",
        f"endView(input: {{ {_VIEW} }})",
        f'submitAssessment(input: {{ {_VIEW}, attemptId: "t2", events: [] }})',
        'createGroup(input: { name: "G", userId: "ann" })',
    ),
    Entry(
        "startView at another time",
        f'mutation {{ startView(input: {{ {_VIEW}, at: "2026-02-01T10:00:00Z" }}) {{ errors {{ code }} }} }}',
        frozenset({"service"}),
    ),
    *_changes(
        Access.AUTHORS,
        'createContext(input: { type: BATCH, name: "X", collectionIds: ["course"], contextId: "x", enrolmentType: OPEN, mentors: [] })',
        'updateContext(input: { contextId: "x", name: "Y" })',
        'createContent(input: { name: "C", mimeType: "application/pdf" })',
        'createCollection(input: { name: "C" })',
        'updateContent(input: { identifier: "book", name: "B" })',
        'addChildren(input: { rootId: "book", unitId: "book", children: ["a", "b"] })',
        'updateRelation(input: { rootId: "book", parentId: "book", childId: "a", optional: true })',
        'reorderChildren(input: { rootId: "book", parentId: "book", children: ["b", "a"] })',
        'publish(input: { identifier: "book" })',
        'removeChildren(input: { rootId: "book", unitId: "book", children: ["a"] })',
        'updateHierarchy(input: { rootId: "book", nodesModified: [{ identifier: "u", isNew: true, name: "U" }], '
        'hierarchy: [{ identifier: "book", children: ["u"] }] })',
        'retireContent(identifier: "book")',
    ),
    *_changes(
        Access.CONTEXT_GUIDES,
        f"requestExhaust(input: {{ kind: PROGRESS, {PLACE}, format: CSV }})",
    ),
    *_changes(
        Access.SIGNED_IN,
        f"visitGroup({_GROUP})",
    ),
    *_changes(
        Access.GROUP_ADMINS,
        f'updateGroup(input: {{ {_GROUP}, name: "H" }})',
        f"suspendGroup({_GROUP})",
        f"reactivateGroup({_GROUP})",
    ),
    *_changes(Access.SIGNED_IN, f"leaveGroup({_GROUP})"),
    *_changes(Access.GROUP_ADMINS, f"deleteGroup({_GROUP})"),
    *_changes(Access.LEARNER, 'downloadSummary(input: { format: CSV, userId: "ann" })'),
    *_changes(
        Access.PERSON,
        'updateLearner(input: { userId: "ann", name: "Ann" })',
        'closeIdleViews(input: { idleDays: 30, userId: "ann" })',
        f'deleteSummary(input: {{ {PLACE}, userId: "ann" }})',
        'eraseLearner(input: { userId: "ann" })',
    ),
]
"""Mutations, in an order in which each finds what it changes. Each caller has a group ``g-CALLER`` of lea's and fay's."""
