"""Partitions of keys in Kafka: other clients look for a key where ours put it."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from stores.kafka_batches import partition_of


@given(st.binary(max_size=200), st.integers(1, 64))
def test_a_key_is_in_the_partition_that_kafkas_own_clients_look_in(key: bytes, partitions: int) -> None:
    all_of_them = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, all_of_them, all_of_them)
