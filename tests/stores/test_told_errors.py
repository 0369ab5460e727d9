"""What the log is told of an engine's error: where the engine is and what kind of error it is, never what it was sent."""

import pytest
from cassandra import ConsistencyLevel, ReadTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ServerError
from redis.exceptions import AuthenticationError, NoScriptError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from stores import cache_redis, cassandra_session


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ResponseError("unknown command 'EVALSHA', with args beginning with: 'cohort:learner-7' "),
            "Redis: ResponseError: unknown command",
        ),
        (
            NoScriptError("No matching script. Please use EVAL."),
            "Redis: NoScriptError: No matching script. Please use EVAL.",
        ),
        (AuthenticationError("Authentication required."), "Redis: Authentication required."),
        (
            RedisConnectionError("Error 111 connecting to a:6379. Connection refused."),
            "Redis: Error 111 connecting to a:6379. Connection refused.",
        ),
    ],
)
def test_of_redis_the_first_words(error: Exception, told: str) -> None:
    assert cache_redis._told(error) == told


def test_of_cassandra_the_kind_of_a_fault_and_who_did_not_answer() -> None:
    fault = ServerError(0, "java.lang.AssertionError: Key(learner-7) is none", None)
    assert cassandra_session._error_line(fault) == "Server error: java.lang.AssertionError"
    nowhere = NoHostAvailable("none", {"10.0.0.1:9042": fault, "10.0.0.2:9042": OSError("refused")})
    assert (
        cassandra_session._error_line(nowhere)
        == "10.0.0.1:9042: Server error: java.lang.AssertionError; 10.0.0.2:9042: refused"
    )
    late = ReadTimeout("too late", consistency=ConsistencyLevel.QUORUM, required_responses=2)
    assert "required_responses" in cassandra_session._error_line(late)
