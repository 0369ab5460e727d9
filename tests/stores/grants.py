"""The least that the stores must grant, as docs/deploy.md says it: tests run with it, and fail if the page says something else."""

from dataclasses import dataclass

# What `cohort init` needs, and what all other processes need, on the keyspace.
CASSANDRA_OF_INIT = ("CREATE", "ALTER", "DROP", "SELECT", "MODIFY")
CASSANDRA_OF_PROCESSES = ("SELECT", "MODIFY")

# What a cache is asked to do, and the scripts in it.
REDIS = "+ping +select +get +mget +set +hgetall +hdel +hget +hset +pexpire +unlink +del +scan +evalsha +script|load +time"


@dataclass(frozen=True)
class Acl:
    """Operations on the resources whose names begin with the instance's prefix and a dot."""

    resource: int
    operations: tuple[int, ...]


TOPIC, GROUP = 2, 3
"""Kafka's numbers of kinds of resources."""
READ, WRITE, CREATE, DESCRIBE = 3, 4, 5, 8
"""And of operations."""
KAFKA_OF_INIT = (Acl(TOPIC, (CREATE, DESCRIBE)),)
KAFKA_OF_PROCESSES = (Acl(TOPIC, (READ, WRITE, DESCRIBE)), Acl(GROUP, (READ,)))
