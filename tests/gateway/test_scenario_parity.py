"""Whichever way a client comes, by GraphQL, by the viewer's REST calls or by the platform's, and under whichever names it
gives ids: the same rows are written, and what one wrote the others read (R-VIEW-3)."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, unenrol
from rules.identifiers import ContextType
from rules.tracking import TrackingMode
from stores.columns import Table
from stores.tables import AGGREGATES, ENROLMENTS, VIEWS
from tests.conftest import LEAF, NOW, Instance
from tests.gateway.rest_calls import RestCalls
from tests.graph.conftest import data
from tests.ingest.test_sample import rows_of

Place = tuple[str, ...]
"""Nothing, a collection, or a collection and a context: the scenarios 1, 2 and 3."""

IDS = ("collectionId", "contextId")
OLDER_IDS = ("courseId", "batchId")
DETAILS = {"page": 3, "of": [4, None]}


@dataclass(frozen=True)
class Way(ABC):
    """A learner's client."""

    cohort: Instance
    user: str
    names: tuple[str, str] = IDS

    name: ClassVar[str]

    def place(self, place: Place) -> dict[str, str]:
        return dict(zip(self.names, place, strict=False))

    @abstractmethod
    async def enrol(self, *place: str) -> None: ...

    @abstractmethod
    async def unenrol(self, *place: str) -> bool:
        """False where it is refused because the collection is completed."""

    @abstractmethod
    async def start(self, content: str, *place: str) -> None: ...

    @abstractmethod
    async def update(self, content: str, *place: str, progress: int) -> None:
        """With DETAILS."""

    @abstractmethod
    async def end(self, content: str, *place: str) -> None: ...

    @abstractmethod
    async def read(self, content: str, *place: str) -> tuple[int, int]:
        """Status and progress."""


class ByGraphQL(Way):
    name = "GraphQL"

    async def _mutate(self, field: str, kind: str, **given: Any) -> None:
        assert await self._refusals(field, kind, **given) == []

    async def _refusals(self, field: str, kind: str, **given: Any) -> list[str]:
        text = (
            f"mutation M($input: {kind}!) {{ {field}(input: $input) {{ errors {{ code field message }} }} }}"
        )
        answer = await data(self.cohort.session(self.user), text, input=given)
        return [error["code"] for error in answer[field]["errors"]]

    async def enrol(self, *place: str) -> None:
        await self._mutate("enrol", "EnrolInput", **dict(zip(IDS, place, strict=True)))

    async def unenrol(self, *place: str) -> bool:
        refusals = await self._refusals("unenrol", "UnenrolInput", **dict(zip(IDS, place, strict=True)))
        assert refusals in ([], ["ALREADY_COMPLETED"])
        return refusals == []

    async def start(self, content: str, *place: str) -> None:
        await self._mutate("startView", "StartViewInput", contentId=content, **self.place(place))

    async def update(self, content: str, *place: str, progress: int) -> None:
        given = {"contentId": content, "progress": progress, "progressDetails": DETAILS}
        await self._mutate("updateView", "UpdateViewInput", **given, **self.place(place))

    async def end(self, content: str, *place: str) -> None:
        await self._mutate("endView", "EndViewInput", contentId=content, **self.place(place))

    async def read(self, content: str, *place: str) -> tuple[int, int]:
        text = """query Q($contentId: String!, $collectionId: String, $contextId: String) { me {
            view(contentId: $contentId, collectionId: $collectionId, contextId: $contextId) { status progress } } }"""
        ids = dict(zip(IDS, place, strict=False))
        view = (await data(self.cohort.session(self.user), text, contentId=content, **ids))["me"]["view"]
        return ["NOT_STARTED", "IN_PROGRESS", "COMPLETED"].index(view["status"]), view["progress"]


class _ByRest(Way):
    async def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        result = await RestCalls(self.cohort).result(method, path, user=self.user, **request)
        assert "errors" not in result, result
        return result

    async def enrol(self, *place: str) -> None:
        await self._call("POST", "/course/v1/enrol", **self.place(place))

    async def unenrol(self, *place: str) -> bool:
        request: dict[str, Any] = dict(self.place(place))
        answer = await RestCalls(self.cohort).answer("POST", "/course/v1/unenrol", user=self.user, **request)
        told = answer.status_code, answer.json()["params"]["err"]
        assert told in ((200, None), (400, "COURSE_BATCH_ALREADY_COMPLETED"))
        return answer.status_code == 200


class ByViewerCalls(_ByRest):
    name = "the viewer's calls"

    async def start(self, content: str, *place: str) -> None:
        told = await self._call("POST", "/v1/view/start", contentId=content, **self.place(place))
        assert told == {content: "Progress started"}

    async def update(self, content: str, *place: str, progress: int) -> None:
        given = {"contentId": content, "progress": progress, "progressDetails": DETAILS}
        told = await self._call("POST", "/v1/view/update", **given, **self.place(place))
        assert told == {content: "Progress Updated"}

    async def end(self, content: str, *place: str) -> None:
        told = await self._call("POST", "/v1/view/end", contentId=content, **self.place(place))
        assert told == {content: "Progress ended"}

    async def read(self, content: str, *place: str) -> tuple[int, int]:
        result = await self._call("POST", "/v1/view/read", contentId=content, **self.place(place))
        return next(((one["status"], one["progress"]) for one in result["contents"]), (0, 0))


class ByPlatformCalls(_ByRest):
    name = "the platform's calls"

    async def _state(self, content: str, place: Place, **state: Any) -> None:
        told = await self._call(
            "PATCH",
            "/course/v1/content/state/update",
            contents=[{"contentId": content, **self.place(place), **state}],
        )
        assert told == {content: "SUCCESS"}

    async def start(self, content: str, *place: str) -> None:
        await self._state(content, place, status=1)

    async def update(self, content: str, *place: str, progress: int) -> None:
        await self._state(content, place, status=1, progress=progress, progressdetails=DETAILS)

    async def end(self, content: str, *place: str) -> None:
        await self._state(content, place, status=2)

    async def read(self, content: str, *place: str) -> tuple[int, int]:
        result = await self._call(
            "POST", "/course/v1/content/state/read", contentIds=[content], **self.place(place)
        )
        return next(((one["status"], one["progress"]) for one in result["contentList"]), (0, 0))


WAYS: tuple[type[Way], ...] = (ByGraphQL, ByViewerCalls, ByPlatformCalls)


@pytest.fixture
async def school(embedded: Instance) -> Instance:
    """The course (a, b, c required, d optional; b in both units) in two batches; a small one, in a program with it."""
    await embedded.publish()
    alone = {"identifier": "alone", "name": "Alone", "mimeType": LEAF}
    await embedded.publish({"identifier": "small", "name": "Small", "children": [alone]})
    await embedded.batch()
    await embedded.batch("other")
    program = NewContext(ContextType.PROGRAM, "Program", ("course", "small"), "program")
    await create_context(embedded.session(), program)
    return embedded


async def scenario(way: Way) -> list[Place]:
    """A term of a learner's, a call a minute, with a revisit, repeats and a player that goes back. The places that the
    learner could not leave, as they were completed: there a service ends the enrolment."""
    completed: list[Place] = []

    async def leave(collection: str, context: str) -> None:
        if not await way.unenrol(collection, context):
            completed.append((collection, context))
            await unenrol(way.cohort.session(), EnrolmentCall(collection, context, way.user))

    steps: list[Callable[[], Awaitable[None]]] = [
        lambda: way.enrol("course", "batch"),
        lambda: way.enrol("course", "other"),
        lambda: way.enrol("small", "program"),
        lambda: way.start("a", "course", "batch"),
        lambda: way.update("a", "course", "batch", progress=40),
        lambda: way.end("a", "course", "batch"),
        lambda: way.end("a", "course", "batch"),
        lambda: way.start("a", "course", "batch"),
        lambda: way.start("b", "course", "batch"),
        lambda: way.update("b", "course", "batch", progress=40),
        lambda: way.update("b", "course", "batch", progress=20),
        *(lambda c=content: way.start(c, "course", "other") for content in "abc"),
        *(lambda c=content: way.end(c, "course", "other") for content in "abc"),
        lambda: way.start("d", "course"),
        lambda: way.start("alone", "small"),
        lambda: way.update("alone", "small", progress=60),
        lambda: way.start("alone"),
        lambda: way.end("alone"),
        # Where views are carried this is a revisit, which the platform's calls can't tell from an update.
        lambda: way.start("alone", "small", "program"),
        lambda: way.update("alone", "small", "program", progress=80),
        lambda: leave("small", "program"),
        lambda: leave("course", "batch"),
        lambda: way.enrol("course", "batch"),
    ]
    for minute, step in enumerate(steps):
        way.cohort.sets_clock(NOW + timedelta(minutes=minute))
        await step()
    return completed


COMPLETED: dict[TrackingMode, list[Place]] = {
    TrackingMode.CARRY_FORWARD_COLLECTION: [("course", "batch")],
    TrackingMode.CARRY_FORWARD_FULL: [("small", "program"), ("course", "batch")],
}
"""By mode what the scenario has completed when it leaves: a, b and c of the course in the other batch, which carries to this
one; ``alone`` by itself, which carries into the small one too. In the other modes nothing."""


UNLIKE = {
    VIEWS: {"userid", "changed_at"},
    ENROLMENTS: {"userid", "changed_at", "seen_changed_at", "version"},
    AGGREGATES: {"user_id", "version", "status_digest", "seen_changed_at", "seen_enrolment"},
}
"""Who it is, the machine's own clock, and versions with what has them in it."""


async def written(cohort: Instance, table: Table, user: str) -> list[dict[str, Any]]:
    """The learner's rows in the order of their keys."""
    who = "user_id" if table is AGGREGATES else "userid"
    rows = [row for row in await rows_of(cohort.shared, table) if row[who] == user]
    rows.sort(key=lambda row: tuple(row[name] for name in table.key))
    return [{name: value for name, value in row.items() if name not in UNLIKE[table]} for row in rows]


VIEWED = [
    ("alone", "alone", "alone", 2, 100, None),
    ("course", "batch", "a", 2, 100, DETAILS),
    ("course", "batch", "b", 1, 40, DETAILS),
    ("course", "course", "d", 1, 0, None),
    ("course", "other", "a", 2, 100, None),
    ("course", "other", "b", 2, 100, None),
    ("course", "other", "c", 2, 100, None),
    ("small", "program", "alone", 1, 80, DETAILS),
    ("small", "small", "alone", 1, 60, DETAILS),
]
"""What the scenario leaves in strict mode: status, progress and details by collection, context and content."""

ENROLLED = [
    ("course", "batch", True, 1, 1),
    ("course", "other", True, 2, 3),
    ("small", "program", False, 1, 0),
]
"""Active, status, and completed of what is required."""

FIGURES = [
    ("course", "cb:batch", 1, 3),
    ("course", "cb:other", 3, 3),
    ("course", "co:course", 0, 3),
    ("small", "co:small", 0, 1),
    ("small", "pr:program", 0, 1),
    ("unit-1", "cb:batch", 1, 2),
    ("unit-1", "cb:other", 2, 2),
    ("unit-2", "cb:batch", 0, 2),
    ("unit-2", "cb:other", 2, 2),
    ("unit-2", "co:course", 0, 2),
]
"""Completed of what is required, by activity and context."""


def details(row: dict[str, Any]) -> Any:
    return None if row["progressdetails"] is None else DETAILS


async def test_a_scenario_leaves_the_rows_that_it_says(school: Instance) -> None:
    way = ByPlatformCalls(school, "ada", OLDER_IDS)
    await scenario(way)
    await school.drain()
    assert [
        (
            *(row[name] for name in ("collectionid", "contextid", "contentid", "status", "progress")),
            details(row),
        )
        for row in sorted(
            await written(school, VIEWS, "ada"),
            key=lambda row: (row["collectionid"], row["contextid"], row["contentid"]),
        )
    ] == VIEWED
    assert [
        tuple(row[name] for name in ("collectionid", "contextid", "active", "status", "progress"))
        for row in await written(school, ENROLMENTS, "ada")
    ] == ENROLLED
    assert [
        (
            row["activity_id"],
            row["context_id"],
            row["aggregates"]["completedCount"],
            row["aggregates"]["requiredCount"],
        )
        for row in await written(school, AGGREGATES, "ada")
    ] == FIGURES


@pytest.mark.parametrize("mode", TrackingMode)
async def test_the_same_scenario_gives_the_same_rows_whichever_way_it_comes(
    school: Instance, mode: TrackingMode
) -> None:
    school.track(mode)
    ways = [
        way(school, f"{way.name}, {'/'.join(names)}", names) for way in WAYS for names in (IDS, OLDER_IDS)
    ]
    for way in ways:
        assert await scenario(way) == COMPLETED.get(mode, []), way.user
    await school.drain()
    for table in (VIEWS, ENROLMENTS, AGGREGATES):
        first, *others = [await written(school, table, way.user) for way in ways]
        assert first, table.name
        for way, rows in zip(ways[1:], others, strict=True):
            assert rows == first, (table.name, way.user)


async def check_scenario(school: Instance, content: str, place: Place, row: tuple[str, str]) -> None:
    """Written by each way under either names, the row is this one and no other; each way reads it under either, and
    none finds it in another scenario."""
    elsewhere = [other for other in ((), ("small",), ("small", "program")) if other != place]
    for writer in WAYS:
        for names in (IDS, OLDER_IDS):
            user = f"{writer.name} {names[0]}"
            await writer(school, user, names).start(content, *place)
            await writer(school, user, names).update(content, *place, progress=70)
            found = await written(school, VIEWS, user)
            assert [(one["collectionid"], one["contextid"], one["contentid"]) for one in found] == [
                (*row, content)
            ]
            for reader in WAYS:
                for other_names in (IDS, OLDER_IDS):
                    way = reader(school, user, other_names)
                    assert await way.read(content, *place) == (1, 70), (user, way.name)
                    for other in elsewhere:
                        assert await way.read(content, *other) == (0, 0), (user, way.name, other)


async def test_scenario_1_a_content_by_itself_is_kept_under_its_own_id(school: Instance) -> None:
    await check_scenario(school, "alone", (), ("alone", "alone"))


async def test_scenario_2_a_content_in_a_collection_is_kept_under_the_collection(school: Instance) -> None:
    await check_scenario(school, "alone", ("small",), ("small", "small"))


async def test_scenario_3_a_content_in_a_collection_with_a_context_is_kept_under_both(
    school: Instance,
) -> None:
    await check_scenario(school, "alone", ("small", "program"), ("small", "program"))
