"""A mutation that is compiled answers exactly what graphql-core and Strawberry do, and calls the command with the same."""

from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from graphql import GraphQLError

import resolvers.assessments
import resolvers.views
from graph.execution.compiled_operations import CompiledOperation
from graph.schema import CohortSchema, schema
from loaders.session import Session
from resolvers.assessments import AssessmentCall
from resolvers.nouns import Acknowledged, Status, View, ViewKey
from rules.assessments import Submission
from rules.errors import DeadlineExceeded, InvalidInput, RateLimited, StoreUnavailable
from rules.origins import Origin, OriginKind
from tests.conftest import Instance, is_thorough
from tests.graph.conftest import RECORD, ask, record

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DOCUMENTS = 900 if is_thorough() else 200
KINDS = {
    "StartViewInput": "startView",
    "UpdateViewInput": "updateView",
    "EndViewInput": "endView",
    "SubmitAssessmentInput": "submitAssessment",
}
COMMON = {
    "contentId": "String!",
    "collectionId": "String",
    "contextId": "String",
    "userId": "String",
    "at": "DateTime",
    "courseId": "String",
    "batchId": "String",
}
FIELDS = {
    "StartViewInput": COMMON,
    "EndViewInput": COMMON | {"progressDetails": "JSON", "timeSpent": "Int", "callId": "String"},
    "UpdateViewInput": COMMON
    | {
        "progressDetails": "JSON",
        "timeSpent": "Int",
        "callId": "String",
        "progress": "Int",
        "status": "Status",
    },
    "SubmitAssessmentInput": {name: of for name, of in COMMON.items() if name != "at"}
    | {"attemptId": "String", "attemptedOn": "DateTime", "events": "[JSON!]!"},
}
VALUES: dict[str, list[Any]] = {
    "String": ["a", "b", "ü", "", "bad", "fault", "late", "none", "away"],
    "DateTime": ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+05:30"],
    "JSON": [{"page": 3}, [1, None], "text", 4, 1.5, True, {}],
    "[JSON!]": [[{"page": 3}], [[1, None], "text"], [], [4, 1.5, True], [None], [{}] * 1_001],
    "Int": [0, 7, -1, 2**31 - 1],
    "Status": ["COMPLETED", "IN_PROGRESS"],
}
WRONG: list[Any] = [None, 2**31, 1.0, 1.5, True, "x", [], ["a"], {}, "2026-01-31", 10**400]
LITERALS: dict[str, list[str]] = {
    "String": ['"a"', '"bad"', "null", '""', '"""b"""'],
    "DateTime": ['"2026-01-31T12:00:00Z"', "null", '"2026"'],
    "JSON": ["{page: 3}", "[1]", "5", '"text"', "null"],
    "[JSON!]": ["[{page: 3}]", "[]", "5", "[null]"],
    "Int": ["0", "30", "null"],
    "Status": ["COMPLETED", "null"],
}
PLAIN = [
    "contentId",
    "status",
    "progress",
    "lastAccessedOn",
    "completedOn",
    "collectionId",
    "contextId",
    "id",
]
OTHERS = ["timeSpent", "startedOn", "progressDetails", "origin { kind place: collectionId }"]


class Documents:
    """Makes documents and variables up, most of them valid."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def one(self) -> tuple[str, dict[str, Any]]:
        random = self._random
        kind = random.choice([*KINDS])
        definitions, variables = [], {}
        if random.random() < 0.4:
            required = random.choice(["!", ""])
            given, definitions = (
                "$input",
                [f"$input: {kind}!" if required else f'$input: {kind} = {{contentId: "a"}}'],
            )
            if random.random() < 0.95:
                variables["input"] = self._input(kind)
        else:
            parts = []
            for name, of in FIELDS[kind].items():
                bare = of.rstrip("!")
                if not of.endswith("!") and random.random() < 0.6:
                    continue
                if random.random() < 0.3:
                    parts.append(f"{name}: {random.choice(LITERALS[bare])}")
                    continue
                definitions.append(f"${name}: {of}" + random.choice(["", "!"]) * (not of.endswith("!")))
                parts.append(f"{name}: ${name}")
                if random.random() < 0.8:
                    variables[name] = self._value(bare)
            given = f"{{{', '.join(parts)}}}"
        head = f"({', '.join(definitions)})" if definitions else ""
        alias = random.choice(["", "", "done: "])
        document = (
            f"mutation Do{head} {{ {alias}{KINDS[kind]}(input: {given}) {{ {self._selection(kind)} }} }}"
        )
        if "...Part" in document:
            document += " fragment Part on View { progress state: status }"
        return document, variables

    def _input(self, kind: str) -> Any:
        random = self._random
        if random.random() < 0.05:
            return random.choice(WRONG)
        given = {
            name: self._value(of.rstrip("!"))
            for name, of in FIELDS[kind].items()
            if of.endswith("!") or random.random() < 0.4
        }
        if random.random() < 0.05:
            given["other"] = 1
        if random.random() < 0.05:
            given.pop(random.choice(["contentId", *given]), None)
        return given

    def _value(self, kind: str) -> Any:
        random = self._random
        return random.choice(WRONG) if random.random() < 0.08 else random.choice(VALUES[kind])

    def _selection(self, kind: str) -> str:
        random = self._random
        if kind == "SubmitAssessmentInput":
            shown = ["attemptId", "attemptedOn", "errors { code message field }", "__typename"]
            return " ".join(random.sample(shown, 3))
        fields = random.sample(PLAIN, random.randint(1, 4))
        if random.random() < 0.1:
            fields.append(random.choice(OTHERS))
        if random.random() < 0.2:
            fields += random.choices(
                ["...Part", "... on View { mine: progress }", "__typename", "progress @skip(if: false)"]
            )
        return " ".join(
            random.sample(
                [f"view {{ {' '.join(fields)} }}", "token", "errors { code message field }", "__typename"], 3
            )
        )


async def echoed(_session: Session, call: Any, *changes: Any) -> Any:
    """What the command was called with, as the token or the attempt's id; errors by the content's name."""
    match call.content_id:
        case "bad":
            raise InvalidInput("this is bad", field="contentId")
        case "fault":
            raise RuntimeError("a fault")
        case "late":
            raise DeadlineExceeded("too late")
        case "away":
            raise StoreUnavailable("the rows are away", detail="not told")
        case "none":
            return None
    key = ViewKey(call.user_id or "ann", call.collection_id or "", call.context_id or "", call.content_id)
    if isinstance(call, AssessmentCall):
        return Submission(key, repr(call), call.attempted_on or AT, ())
    origin = Origin(OriginKind.CARRIED, ("there", "then"))
    view = View(key, Status.COMPLETED, 100, 3, AT, AT, AT, None, {"a": [1]}, origin=origin)
    return Acknowledged(view, repr((call, changes)))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The commands only echo. Returns, for each call of a mutation's, whether it was compiled."""
    taken: list[bool] = []
    sound = CompiledOperation.given

    def given(self: CompiledOperation, variables: Any) -> Any:
        found = sound(self, variables)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(CompiledOperation, "given", given)
    for name in ("start_view", "update_view", "end_view"):
        monkeypatch.setattr(resolvers.views, name, echoed)
    monkeypatch.setattr(resolvers.assessments, "submit_assessment", echoed)
    return taken


async def told(session: Session, document: str, variables: dict[str, Any]) -> Any:
    """The answer; the libraries looked at the document before."""
    with suppress(GraphQLError):
        schema.known(document)
    try:
        answer = await ask(session, document, **variables)
    except TypeError as error:  # a number that JSON can't have
        return str(error)
    for one in answer.get("errors") or ():
        one["extensions"].pop("errorId", None)
    return answer


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_compiled_answers_as_the_libraries_do(
    published: Instance, commands: list[bool], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    documents = Documents(Random(seed))
    asked = [documents.one() for _ in range(DOCUMENTS)]
    session = published.session("ann")
    mine = [await told(session, *one) for one in asked]
    assert sum(commands) > len(asked) / 4
    assert len(commands) - sum(commands) > 20

    async def nothing(*_: Any, **__: Any) -> None:
        """It is not compiled."""

    monkeypatch.setattr(CohortSchema, "_compiled", nothing)
    for one, answer in zip(asked, mine, strict=True):
        assert answer == await told(session, *one), one


async def test_a_payload_that_is_not_plain_is_completed_by_the_executor_and_its_command_runs_once(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def odd(session: Session, call: Any) -> Acknowledged:
        calls.append(call)
        done: Acknowledged = await echoed(session, call)
        object.__setattr__(done.view, "progress", 2**40)  # no Int: the executor says so
        return done

    monkeypatch.setattr(resolvers.views, "start_view", odd)
    document = 'mutation { startView(input: {contentId: "a"}) { view { progress } } }'
    schema.known(document)
    answer = await ask(published.session("ann"), document)
    assert "Int cannot represent" in answer["errors"][0]["message"], answer
    assert len(calls) == 1


async def test_a_command_that_has_run_is_priced_once_whatever_its_payload_is(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has spent everything meanwhile is not told that a command which has run was refused."""

    async def odd(session: Session, call: Any) -> Acknowledged:
        done: Acknowledged = await echoed(session, call)
        object.__setattr__(done.view, "progress", 2**40)
        return done

    monkeypatch.setattr(resolvers.views, "start_view", odd)
    document = 'mutation { startView(input: {contentId: "a"}) { view { progress } } }'
    known = schema.known(document)
    monkeypatch.setattr(known, "over", ["most_tokens"])
    session, taken = published.session("ann"), list[int]()

    def take(points: int) -> None:
        if taken:
            raise RateLimited("spent", limit="rate_points", most=1, retry_after=1)
        taken.append(points)

    session.bill.take = take
    before = schema.documents.let_through["most_tokens"]
    answer = await ask(session, document)
    assert "Int cannot represent" in answer["errors"][0]["message"], answer
    assert len(taken) == 1
    assert schema.documents.let_through["most_tokens"] == before + 1


async def test_an_operation_name_that_a_document_does_not_have_leaves_nothing_behind(
    published: Instance,
) -> None:
    session = published.session("ann")
    known = schema.known('mutation A { startView(input: {contentId: "a"}) { token } }')
    before = len(known._compiled), len(known._operations)
    for number in range(20):
        with pytest.raises(Exception, match="made up"):
            await ask(session, known.text, operation=f"made up {number}")
    assert (len(known._compiled), len(known._operations)) == before


async def test_calls_of_the_platforms_player_are_compiled(published: Instance, commands: list[bool]) -> None:
    schema.known(RECORD)
    for operation in ("Start", "Update", "End"):
        payload = await record(published.session("ann"), operation, contentId="a", collectionId="course")
        assert payload["errors"] == []
    assert commands == [True] * 3


async def test_the_libraries_are_the_first_to_look_at_a_document(
    published: Instance, commands: list[bool]
) -> None:
    """So one that is refused, or not kept, is looked at once."""
    document = 'mutation { startView(input: {contentId: "a", collectionId: "only here"}) { token } }'
    first, second = [await ask(published.session("ann"), document) for _ in range(2)]
    assert first == second
    assert commands == [True]
