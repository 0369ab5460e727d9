"""Topics in Kafka: what is there, what is created, and how far a group has read them. Names are full, with the prefix."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    LeaderNotAvailableError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from rules.errors import InvalidInput, StoreUnavailable
from stores.events import Topic
from stores.kafka_clients import KafkaClients, retried

INSYNC = "min.insync.replicas"


class KafkaTopics:
    """Remembers which topics exist. A topic is never deleted while a process runs."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._known: set[str] = set()
        self._asking = asyncio.Lock()

    async def require(self, name: str) -> None:
        """InvalidInput for an unknown topic; aiokafka would wait for it to appear. Those who come at once wait for one answer."""
        if name not in self._known:
            async with self._asking:
                if name not in self._known:
                    await self.partitions(name)

    async def partitions(self, name: str) -> list[TopicPartition]:
        """InvalidInput for an unknown topic."""
        # All topics are asked for, since asking for one may create it.
        async with self._clients.admin() as admin:
            topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
        self._known.update(topics)
        if name not in topics:
            raise InvalidInput(f"there is no topic {name}: run cohort init", field="topic")
        return [TopicPartition(name, partition["partition"]) for partition in topics[name]["partitions"]]


async def create_missing(
    admin: AIOKafkaAdminClient, topics: Mapping[str, Topic], replicas: int | None
) -> list[str]:
    """Creates those that are not there, a line for each, and waits until the brokers know them.

    ``replicas``: three, or as many as there are brokers, for None.
    """
    there = set(await admin.list_topics())
    missing = {name: topic for name, topic in topics.items() if name not in there}
    if not missing:
        return []
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = replicas or min(3, brokers)
    answer = await admin.create_topics(
        [
            NewTopic(name, topic.partitions, replicas, topic_configs=_configs(topic, replicas))
            for name, topic in missing.items()
        ]
    )
    done = []
    for name, code, *reason in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            done.append(f"created topic {name} with {missing[name].partitions} partitions")
        elif error is not TopicAlreadyExistsError:
            raise InvalidInput(f"Kafka refused topic {name}: {error.__name__} {reason}", field="topic")
    # The controller has them; wait until the brokers know as well.
    await retried(partial(_require_leaders, admin, missing))
    return done


@dataclass(frozen=True, slots=True)
class Replication:
    """On how many brokers the messages are: at least, and of how many partitions a copy is behind or away.

    ``needed``: of how many copies an acknowledged message is certain (``min.insync.replicas``), at least and at most over topics. None
    where whoever asks may not know.
    """

    brokers: int
    copies: int
    behind: int
    needed: tuple[int, int] | None


async def replication(admin: AIOKafkaAdminClient, names: Collection[str]) -> Replication:
    """Of those topics that are there."""
    brokers = len((await admin.describe_cluster())["brokers"])
    places = [
        place
        for topic in await admin.describe_topics()
        if topic["topic"] in names
        for place in topic["partitions"]
    ]
    needed = await _needed(admin, names)
    return Replication(
        brokers,
        min((len(place["replicas"]) for place in places), default=0),
        sum(len(place["isr"]) < len(place["replicas"]) for place in places),
        None if needed is None else (min(needed, default=0), max(needed, default=0)),
    )


async def _needed(admin: AIOKafkaAdminClient, names: Collection[str]) -> list[int] | None:
    """``min.insync.replicas`` of each of the topics that is there: its own, or the brokers'. None where that is not allowed to know."""
    there = [name for name in await admin.list_topics() if name in names]
    wanted = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs={INSYNC: None}) for name in sorted(there)
    ]
    answers = await admin.describe_configs(wanted) if wanted else []
    found = []
    for answer in answers:
        for code, reason, _, topic, entries in answer.resources:
            if code == TopicAuthorizationFailedError.errno:
                return None
            if code:
                raise StoreUnavailable("Kafka does not tell how a topic is set", detail=f"{topic}: {reason}")
            found += [int(entry[1]) for entry in entries if entry[0] == INSYNC]
    return found


async def committed(
    admin: AIOKafkaAdminClient, group: str, places: list[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What the group has committed in each of the partitions.

    Raises an error that may be retried where partitions are missing: aiokafka passes over an error of the whole group,
    such as a coordinator that is still loading.
    """
    found: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
        group, partitions=places
    )
    if found.keys() < set(places):
        raise GroupCoordinatorNotAvailableError(group)
    return found


async def _require_leaders(admin: AIOKafkaAdminClient, names: Collection[str]) -> None:
    """Raises an error that may be retried, until every partition of these topics has a leader."""
    topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
    for name in names:
        if name not in topics or any(place["error_code"] for place in topics[name]["partitions"]):
            raise LeaderNotAvailableError(name)


def _configs(topic: Topic, replicas: int) -> dict[str, str]:
    days = topic.retention_days
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1" if days is None else str(days * 86_400_000),
        # acks from all would mean from one, where all but one are away.
        INSYNC: "2" if replicas > 2 else "1",
    }
