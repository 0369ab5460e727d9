"""A peer: Strawberry as its documentation shows it, with DataLoaders and cassandra-driver, served by uvicorn.

Started as a process: ``PEER_ROWS`` and ``PEER_PORT`` of the environment say where rows are and where it listens. It believes who
calls, as the peers in Node do (bench/peers/node/resolvers.js, which it follows line by line).
"""

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import strawberry
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.query import dict_factory
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.types import Info

Row = Mapping[str, Any]
MOST_KEYS = 100
"""Of a statement, as Cohort sends them."""
STATUS = ("NOT_STARTED", "IN_PROGRESS", "COMPLETED")
CONTEXT = {"cb": "BATCH"}
"""The one type that the comparison has."""

_rows = urlsplit(os.environ["PEER_ROWS"])
_profile = ExecutionProfile(consistency_level=ConsistencyLevel.LOCAL_QUORUM, row_factory=dict_factory)
_cluster = Cluster(
    [_rows.hostname],
    port=_rows.port or 9042,
    auth_provider=PlainTextAuthProvider(_rows.username, _rows.password),
    execution_profiles={EXEC_PROFILE_DEFAULT: _profile},
)
_session = _cluster.connect(_rows.path.strip("/"))
_prepared: dict[str, Any] = {}


def select(text: str, *values: object) -> "asyncio.Future[list[Row]]":
    statement = _prepared.get(text)
    if statement is None:
        statement = _prepared[text] = _session.prepare(text)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Row]] = loop.create_future()
    _session.execute_async(statement, values).add_callbacks(
        lambda found: loop.call_soon_threadsafe(done.set_result, found),
        lambda error: loop.call_soon_threadsafe(done.set_exception, error),
    )
    return done


async def by_column(column: str, text: str, keys: Sequence[str], *values: object) -> dict[str, Row]:
    portions = [list(keys[start : start + MOST_KEYS]) for start in range(0, len(keys), MOST_KEYS)]
    found = await asyncio.gather(*(select(text, portion, *values) for portion in portions))
    return {row[column]: row for rows in found for row in rows}


def loader(column: str, text: str, *values: object) -> DataLoader[str, Row | None]:
    async def load(keys: list[str]) -> list[Row | None]:
        found = await by_column(column, text, keys, *values)
        return [found.get(key) for key in keys]

    return DataLoader(load)


class Kept:
    """Contents and contexts change rarely, so they are kept for the life of the process, where Cohort keeps them for five seconds."""

    contents: DataLoader[str, Row | None]
    contexts: DataLoader[str, Row | None]

    @classmethod
    def begin(cls) -> None:
        """A DataLoader is of the loop that runs when it is made."""
        if not hasattr(cls, "contents"):
            cls.contents = loader(
                "identifier",
                "SELECT identifier, name, leaf_nodes_count, published_on FROM content WHERE identifier IN ?",
            )
            cls.contexts = loader(
                "contextid",
                "SELECT contextid, type, name, start_date, end_date FROM context WHERE contextid IN ?",
            )


def figure(row: Row | None, name: str) -> float:
    return (row["aggregates"] or {}).get(name, 0) if row else 0


def percentage(row: Row | None) -> int:
    required = figure(row, "requiredCount")
    return int(100 * min(figure(row, "completedCount"), required) // required) if required else 0


def touched(row: Row) -> datetime | None:
    at: datetime | None = row["last_access_time"] or row["enrolled_on"]
    return at


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@strawberry.type
class Collection:
    identifier: strawberry.ID
    name: str
    leaf_nodes_count: int

    @classmethod
    async def of(cls, identifier: str) -> "Collection | None":
        row = await Kept.contents.load(identifier)
        if row is None:
            return None
        return cls(identifier=row["identifier"], name=row["name"], leaf_nodes_count=row["leaf_nodes_count"])


@strawberry.type
class Context:
    context_id: strawberry.ID
    type: str
    name: str
    start_date: datetime | None
    end_date: datetime | None

    @classmethod
    async def of(cls, identifier: str) -> "Context | None":
        row = await Kept.contexts.load(identifier)
        if row is None:
            return None
        return cls(
            context_id=row["contextid"],
            type=CONTEXT[row["type"]],
            name=row["name"],
            start_date=row["start_date"],
            end_date=row["end_date"],
        )


@strawberry.type
class Metric:
    metric: str
    value: float | None
    last_updated_on: datetime | None

    @classmethod
    def of(cls, metric: str, value: float | None, last_updated_on: datetime | None) -> "Metric":
        return cls(metric=metric, value=value, last_updated_on=last_updated_on)


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Enrolment:
    row: strawberry.Private[Row]
    figures: strawberry.Private[DataLoader[str, Row | None]]
    enrolled_on: datetime | None

    async def _figures(self) -> Row | None:
        return await self.figures.load(self.row["collectionid"])

    @strawberry.field
    async def collection(self) -> Collection | None:
        return await Collection.of(self.row["collectionid"])

    @strawberry.field
    async def context(self) -> Context | None:
        return await Context.of(self.row["contextid"])

    @strawberry.field
    async def status(self) -> str:
        row = await self._figures()
        return STATUS[row["status"] if row else 0]

    @strawberry.field
    async def completed_count(self) -> int:
        return int(figure(await self._figures(), "completedCount"))

    @strawberry.field
    async def completion_percentage(self) -> int:
        return percentage(await self._figures())

    @strawberry.field
    async def completed_on(self) -> datetime | None:
        row = await self._figures()
        return row["completed_on"] if row else None

    @strawberry.field
    async def last_accessed_on(self) -> datetime | None:
        row = await self._figures()
        return row["last_access_time"] if row else None


@strawberry.type
class EnrolmentEdge:
    node: Enrolment


@strawberry.type
class EnrolmentConnection:
    page_info: PageInfo
    edges: list[EnrolmentEdge]


@strawberry.input
class EnrolmentFilter:
    active: bool | None = None


@strawberry.type
class Learner:
    user_id: strawberry.ID
    name: str | None

    @strawberry.field
    async def enrolments(
        self,
        first: int = 20,
        after: str | None = None,
        filter: EnrolmentFilter | None = None,  # noqa: A002
    ) -> EnrolmentConnection:
        user = str(self.user_id)
        text = "SELECT collectionid, contextid, active, enrolled_on FROM user_enrolments WHERE userid = ? LIMIT ?"
        found = list(await select(text, user, first + 1))
        figures = loader(
            "activity_id",
            "SELECT activity_id, aggregates, completed_on, last_access_time, status FROM user_activity_agg_v2 "
            "WHERE activity_type = 'Course' AND activity_id IN ? AND user_id = ?",
            user,
        )
        page = [row for row in found if row["active"]][:first]
        cursor = encoded([page[-1]["collectionid"], page[-1]["contextid"]]) if page else None
        return EnrolmentConnection(
            page_info=PageInfo(has_next_page=len(found) > first, end_cursor=cursor),
            edges=[
                EnrolmentEdge(node=Enrolment(row=row, figures=figures, enrolled_on=row["enrolled_on"]))
                for row in page
            ],
        )


@strawberry.type
class Member:
    member: strawberry.Private[Row]
    learners: strawberry.Private[DataLoader[str, Row | None]]
    role: str
    completion_percentage: int | None
    agg: list[Metric]

    @classmethod
    def of(cls, member: Row, row: Row | None, learners: DataLoader[str, Row | None]) -> "Member":
        updated = touched(row) if row else None
        return cls(
            member=member,
            learners=learners,
            role=member["role"].upper(),
            completion_percentage=percentage(row),
            agg=[
                Metric.of("completedCount", figure(row, "completedCount"), updated),
                Metric.of("completionPercentage", percentage(row), updated),
                Metric.of("timeSpent", figure(row, "timeSpent"), updated),
            ],
        )

    @strawberry.field
    async def learner(self) -> Learner:
        row = await self.learners.load(self.member["userid"])
        return Learner(user_id=self.member["userid"], name=row["name"] if row else None)


@strawberry.type
class MemberEdge:
    node: Member


@strawberry.type
class MemberConnection:
    edges: list[MemberEdge]


@strawberry.type
class Activity:
    id: strawberry.ID
    type: str
    source: str
    as_of: datetime | None
    complete: bool
    activity: strawberry.Private[str]
    group_members: strawberry.Private[Sequence[Row]]
    rows: strawberry.Private["asyncio.Task[dict[str, Row]]"]
    learners: strawberry.Private[DataLoader[str, Row | None]]

    @strawberry.field
    async def collection(self) -> Collection | None:
        return await Collection.of(self.activity)

    @strawberry.field
    async def agg(self) -> list[Metric]:
        rows, published = await self.rows, await Kept.contents.load(self.activity)
        active = [row for row in rows.values() if row["active"]]
        completed = sum(row["status"] == STATUS.index("COMPLETED") for row in active)
        last = max((at for row in rows.values() if (at := touched(row))), default=None)
        return [
            Metric.of("enrolledCount", len(active), last),
            Metric.of("completedCount", completed, last),
            Metric.of("completionPercentage", 100 * completed // len(active) if active else 0, last),
            Metric.of(
                "leafNodesCount",
                published["leaf_nodes_count"] if published else None,
                published["published_on"] if published else None,
            ),
            Metric.of("averageScore", None, None),
        ]

    @strawberry.field
    async def members(self, first: int = 20) -> MemberConnection:
        rows = await self.rows
        some = self.group_members[:first]
        return MemberConnection(
            edges=[MemberEdge(node=Member.of(each, rows.get(each["userid"]), self.learners)) for each in some]
        )


@strawberry.type
class Group:
    group_id: strawberry.ID
    name: str
    activities: list[Activity]


async def figures_in(activity: str, users: Sequence[str]) -> dict[str, Row]:
    text = (
        "SELECT user_id, aggregates, active, enrolled_on, last_access_time, status FROM user_activity_agg_v2 "
        "WHERE activity_type = 'Course' AND activity_id = ? AND user_id IN ?"
    )
    portions = [list(users[start : start + MOST_KEYS]) for start in range(0, len(users), MOST_KEYS)]
    found = await asyncio.gather(*(select(text, activity, portion) for portion in portions))
    return {row["user_id"]: row for rows in found for row in rows}


@strawberry.type
class Query:
    @strawberry.field
    async def me(self, info: Info[dict[str, Any]]) -> Learner:
        Kept.begin()
        user = info.context["request"].headers["x-user"]
        row = await loader("userid", "SELECT userid, name FROM learner WHERE userid IN ?").load(user)
        return Learner(user_id=user, name=row["name"] if row else None)

    @strawberry.field
    async def group(self, group_id: str) -> Group:
        Kept.begin()
        (found,), members = await asyncio.gather(
            select("SELECT name, activities FROM learner_group WHERE groupid = ?", group_id),
            select("SELECT userid, role, status FROM group_member WHERE groupid = ?", group_id),
        )
        active = [member for member in members if member["status"] == "active"]
        users = [member["userid"] for member in active]
        learners = loader("userid", "SELECT userid, name FROM learner WHERE userid IN ?")
        return Group(
            group_id=strawberry.ID(group_id),
            name=found["name"],
            activities=[
                Activity(
                    id=strawberry.ID(encoded(["GroupActivity", group_id, one["id"], one["type"], "query"])),
                    type=one["type"],
                    source="ROWS",
                    as_of=datetime.now(UTC),
                    complete=True,
                    activity=one["id"],
                    group_members=active,
                    rows=asyncio.create_task(figures_in(one["id"], users)),
                    learners=learners,
                )
                for one in found["activities"]
            ],
        )


app: GraphQL[Any, Any] = GraphQL(strawberry.Schema(Query, extensions=[ParserCache, ValidationCache]))

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(os.environ["PEER_PORT"]), log_level="warning", loop="uvloop", http="httptools")
