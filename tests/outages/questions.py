"""What is asked while a server is away: a document for each root field and for what it reads below, each call of REST, health.

The documents and calls are those of the matrices of access, which have all of them (tests/graph/test_access_matrix.py,
tests/gateway/test_access_matrix.py). What changes something gets learners, groups and contents of its own each time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson
from graphql import (
    FieldNode,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
)

from gateway.rest.tables import endpoints as tables
from graph.documents.field_prices import PRICES
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.drafts import NewContent, create_content
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.hierarchy_edits import add_children
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import start_view
from loaders.session import Session
from rules.access import Access
from rules.group_changes import AddMember
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.identifiers import ContextType
from rules.learner_groups import GroupRole
from rules.viewers import Role, Viewer
from tests.conftest import Instance
from tests.gateway.test_access_matrix import CALLS, FIRST, LINKED, PLAIN_CALLS, Asked
from tests.graph.access_entries import CHANGES, CORE, entry, reads
from tests.ingest.test_assessments import event

SERVICE = Viewer("zoe", frozenset({Role.SERVICE}))
"""Who asks everything that one who is no member of the group may ask."""
BY_A_MEMBER = ("visitGroup", "leaveGroup", "PATCH /v1/group/membership/update")


def _member(number: int) -> Viewer:
    """Of the group that a question has for itself."""
    return Viewer(f"fay{number}", frozenset({Role.LEARNER}))


MORE = [
    entry(
        "a table as records",
        Access.FIGURES,
        '{ activityMetrics(query: { metrics: [ENROLLED_COUNT] activityIds: ["course"] }) '
        "{ records names complete } }",
    ),
    entry(
        "active learners as records",
        Access.FIGURES,
        '{ activeLearners(query: { from: "2026-02-01", to: "2026-02-03" }) { records } }',
    ),
    entry(
        "a history as records",
        Access.FIGURES,
        '{ activityHistory(query: { activityId: "course" from: "2026-02-01", to: "2026-02-03" }) { records } }',
    ),
    entry(
        "units of found collections",
        Access.SIGNED_IN,
        "{ searchCollections { edges { units { __typename } } } }",
    ),
    entry(
        "how many",
        Access.LEARNER,
        '{ learner(userId: "ann") { enrolments { totalCount } groups { totalCount } contexts { totalCount } } '
        'context(contextId: "batch") { roster { totalCount } } }',
    ),
]
"""Of fields that the matrix needs no line for, as who has what is above them may ask for them."""


SHOWN = {
    "enrol": "enrolment { __typename }",
    "updateGroup": "itemNotes { __typename }",
    "eraseLearner": "done",
}
"""Fields of payloads that read a store, or tell that a call is not done yet."""


CALLED_SO = CALLS | {
    "PATCH /v1/group/membership/update": Asked(
        request={"userId": "CALLER", "groups": [{"groupId": "g-CALLER", "visited": True}]}
    )
}
"""The calls of the matrix; that one changes nothing there."""


@dataclass(frozen=True)
class Question:
    """A request. ``name`` is how the page calls it; of a document each field has a name of its own."""

    name: str
    method: str
    path: str
    sent: bytes | None = None
    viewer: Viewer = SERVICE
    document: str = ""
    changes: bool = False

    @property
    def is_graphql(self) -> bool:
        return bool(self.document)


_numbers = count(1)


def numbered(text: str, number: int) -> str:
    """Names of the text's own: nobody else changes what they name."""
    answers = orjson.dumps([event()]).decode()
    text = text.replace('"events":[]', f'"events":{answers}')
    in_graphql = re.sub(r'"(\w+)":', r"\1: ", answers)
    text = text.replace("events: []", f"events: {in_graphql}")
    for name in ("ann", "book", "x"):
        text = text.replace(f'"{name}"', f'"{name}{number}"')
    return text.replace('"g-CALLER"', f'"g{number}"')


def _document(name: str, document: str, *, changes: bool = False, viewer: Viewer = SERVICE) -> Question:
    return Question(name, "POST", "/graphql", orjson.dumps({"query": document}), viewer, document, changes)


def _call(
    name: str, asked: Asked, *, enveloped: bool, changes: bool = False, viewer: Viewer = SERVICE
) -> Question:
    method, _, path = name.partition(" ")
    given: Any = dict(asked.request)
    for part, value in asked.path.items():
        path = path.replace(f"{{{part}:path}}", value).replace(f"{{{part}}}", value)
    if "userId" in given and given["userId"] == "CALLER":
        given["userId"] = viewer.user_id
    has_body = FIRST[name].has_body if enveloped else method == "POST"
    if not has_body:
        query = "&".join(f"{key}={value}" for key, value in given.items())
        return Question(name, method, f"{path}?{query}" if query else path, None, viewer, "", changes)
    sent = orjson.dumps({"request": given} if enveloped else given)
    return Question(name, method, path, sent, viewer, "", changes)


def asked_to_read(exhaust_id: str, publication_id: str, link: str) -> list[Question]:
    """``link``: of a table of figures."""
    found = [_document(one.name, one.document) for one in (*reads(exhaust_id, publication_id), *MORE)]
    found += [
        _call(name, asked, enveloped=True) for name, asked in CALLED_SO.items() if not changes_something(name)
    ]
    found += [_call(name, asked, enveloped=False) for name, asked in PLAIN_CALLS.items()]
    found.append(_call(LINKED, Asked({"link": link}), enveloped=False))
    found.append(
        Question("GET /learners/{user_id:path}/summary.{format}", "GET", "/learners/ann/summary.csv")
    )
    found.append(Question(PACKAGE, "GET", "/content/v1/package/course/1/spine"))
    found += [Question(f"GET {path}", "GET", path) for path in ("/health/live", "/health/ready")]
    return found


PACKAGE = "GET /content/v1/package/{identifier:path}/{version}/{variant}"


def changes_something(line: str) -> bool:
    """Whether what a line is for is a call that changes something, as far as it says itself."""
    return line.startswith("Mutation.") or (line in FIRST and FIRST[line].max_age is None)


async def asked_to_change(instance: Instance, only: frozenset[str] | None = None) -> list[Question]:
    """What is asked for these lines, and all that it changes, made just now."""
    found = []
    for one in CHANGES:
        line = f"Mutation.{one.name}"
        shown = SHOWN.get(one.name, "")
        if line in LINES and (only is None or line in only):
            number = next(_numbers)
            document = numbered(one.document.replace("{ errors {", f"{{ {shown} errors {{"), number)
            await _prepare(instance, one.name, document, number)
            viewer = _member(number) if one.name in BY_A_MEMBER else SERVICE
            found.append(_document(line, document, changes=True, viewer=viewer))
    for name, asked in CALLED_SO.items():
        if changes_something(name) and (only is None or name in only):
            number = next(_numbers)
            told = numbered(orjson.dumps([dict(asked.path), dict(asked.request)]).decode(), number)
            await _prepare(instance, name, told, number)
            path, request = orjson.loads(told)
            viewer = _member(number) if name in BY_A_MEMBER else SERVICE
            found.append(_call(name, Asked(path, request), enveloped=True, changes=True, viewer=viewer))
    return found


async def _prepare(instance: Instance, name: str, text: str, number: int) -> None:
    """What a call of this name, whose words are ``text``, finds."""
    service = instance.session()
    kind = name.lower()
    if f'"ann{number}"' in text:
        ann = f"ann{number}"
        if kind.endswith(("eraselearner", "view/agg")) or "summary" in kind:
            await save_profile(service, ProfileCall("Ann", {}, ann))
            await enrol(service, EnrolmentCall("course", "batch", ann))
        if kind.endswith("unenrol"):
            await enrol(service, EnrolmentCall("course", "other", ann))
        if kind.endswith(("updateview", "endview", "view/update", "view/end")):
            await start_view(service, ViewCall("b", "course", "batch", ann))
    if f'"g{number}"' in text:
        members = (AddMember(f"lea{number}", GroupRole.ADMIN), AddMember(f"fay{number}"))
        await create_group(service, NewGroup("G", members=members, group_id=f"g{number}"))
    if f'"x{number}"' in text and kind == "updatecontext":
        new = NewContext(ContextType.BATCH, "X", ("course",), f"x{number}")
        await create_context(service, new)
    if (book := f"book{number}") and f'"{book}"' in text:
        author = Session(SERVICE, instance.shared)
        await create_content(author, NewContent("Book", COLLECTION_MIME_TYPE, book))
        if not kind.endswith(("addchildren", "hierarchy/add", "updatehierarchy", "hierarchy/update")):
            await add_children(author, book, book, ["a", "b"])


def fields_of(document: str) -> list[tuple[tuple[str, ...], str]]:
    """Where each field of the document that the page has a line for is in an answer, and its name."""
    (operation,) = parse(document).definitions
    assert isinstance(operation, OperationDefinitionNode)
    root = CORE.query_type if operation.operation.value == "query" else CORE.mutation_type
    assert root is not None
    return [(path, name) for path, name in _below((), root, operation.selection_set) if name in LINES]


def _below(
    path: tuple[str, ...], of: Any, selections: SelectionSetNode
) -> Iterator[tuple[tuple[str, ...], str]]:
    for node in selections.selections:
        if isinstance(node, InlineFragmentNode):
            of_fragment = CORE.type_map[node.type_condition.name.value] if node.type_condition else of
            yield from _below(path, of_fragment, node.selection_set)
        elif isinstance(node, FieldNode) and node.name.value != "__typename":
            at = (*path, node.alias.value if node.alias else node.name.value)
            yield at, f"{of.name}.{node.name.value}"
            if node.selection_set is not None:
                yield from _below(at, get_named_type(of.fields[node.name.value].type), node.selection_set)


def _lines() -> list[str]:
    roots = [CORE.type_map[kind] for kind in ("Query", "Mutation")]
    found = []
    for root in roots:
        assert isinstance(root, GraphQLObjectType)
        found += [f"{root.name}.{name}" for name in root.fields]
    found += [f"{kind}.{name}" for kind, name in PRICES if kind not in ("Query", "Mutation")]
    rest = [*FIRST, *(f"{one.method} {one.path}" for one in tables.ENDPOINTS)]
    files = ["GET /learners/{user_id:path}/summary.{format}", PACKAGE]
    return [*found, *rest, *files, "GET /health/live", "GET /health/ready"]


LINES = dict.fromkeys(_lines())
"""What the page has a line for: every root field, every field that may read a store, every route."""
