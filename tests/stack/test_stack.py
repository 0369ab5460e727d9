"""What `Stack` promises, shown with small servers of our own."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stack.errors import MissingProgram, ServersFailed, StackError
from stack.servers import SERVERS, valkey
from stack.stack import Phase, Stack
from tests.stack.small import ENDS, SLEEPS, MakeStack, free_port, small_server


def phase(stack: Stack, name: str) -> Phase:
    return next(status.phase for status in stack.status() if status.server.name == name)


def pid(stack: Stack, name: str) -> int | None:
    return next(status.pid for status in stack.status() if status.server.name == name)


def test_up_starts_what_is_named_and_down_stops_it(make_stack: MakeStack) -> None:
    stack = make_stack(small_server("one"), small_server("two"))
    told: list[tuple[str, Phase]] = []
    assert stack.up(["one"], lambda name, phase: told.append((name, phase))) == {"one": Phase.UP}
    assert told == [("one", Phase.STARTING), ("one", Phase.UP)]
    assert phase(stack, "one") is Phase.UP
    assert phase(stack, "two") is Phase.STOPPED
    assert stack.down() == ["one"]
    assert phase(stack, "one") is Phase.STOPPED


def test_a_second_up_leaves_what_runs_alone(make_stack: MakeStack) -> None:
    stack = make_stack(small_server("one"))
    stack.up()
    before = pid(stack, "one")
    assert before
    assert stack.up() == {"one": Phase.UP}
    assert pid(stack, "one") == before


def test_a_healthy_server_that_is_not_ours_is_used_and_never_stopped(make_stack: MakeStack) -> None:
    server = small_server("one")
    owner, guest = make_stack(server, directory="owner"), make_stack(server, directory="guest")
    owner.up()
    assert guest.up() == {"one": Phase.FOREIGN}
    assert phase(guest, "one") is Phase.FOREIGN
    assert guest.down() == []
    assert guest.stop("one", kill=True) == []
    with pytest.raises(StackError, match="not ours"):
        guest.restart("one", kill=True)
    assert phase(owner, "one") is Phase.UP


def test_a_port_that_something_else_has_taken_is_named(make_stack: MakeStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stack = make_stack(valkey(port))

        # It closes every connection without a word, so it is no Valkey.
        def hang_up() -> None:  # it closes every connection without a word, so it is no Valkey
            while True:
                try:
                    other.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(ServersFailed, match=f"port {port} is taken"):
            stack.up()
        assert phase(stack, "valkey") is Phase.TAKEN
        other.shutdown(socket.SHUT_RDWR)


def test_a_server_that_ends_is_named_with_the_last_30_lines_of_its_log_while_the_others_run_on(
    make_stack: MakeStack,
) -> None:
    stack = make_stack(small_server("bad", program=ENDS), small_server("good"))
    with pytest.raises(ServersFailed) as caught:
        stack.up()
    assert list(caught.value.failures) == ["bad"]
    assert "line 99" in str(caught.value)
    assert "line 70\n" in str(caught.value)
    assert "line 69\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert phase(stack, "good") is Phase.UP
    assert stack.down() == ["good"]


def test_a_server_that_never_gets_healthy_is_given_up_but_stays_ours_to_stop(make_stack: MakeStack) -> None:
    stack = make_stack(small_server("slow", program=SLEEPS), patience=0.5)
    with pytest.raises(ServersFailed, match="I sleep"):
        stack.up()
    assert phase(stack, "slow") is Phase.UNHEALTHY
    assert stack.down() == ["slow"]


def test_data_stay_until_they_are_wiped_and_jars_stay_then(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(small_server("one"))
    stack.up()
    data, jar = tmp_path / "stack/one/data/rows", tmp_path / "stack/one/lib/a.jar"
    jar.parent.mkdir()
    jar.touch()
    data.touch()
    stack.down()
    stack.up()
    stack.down()
    assert data.exists()
    stack.down(wipe=True)
    assert not data.exists()
    assert jar.exists()


def test_wiping_a_folder_that_is_no_stack_deletes_nothing(make_stack: MakeStack, tmp_path: Path) -> None:
    (tmp_path / "home/one/data").mkdir(parents=True)
    make_stack(small_server("one"), directory="home").down(wipe=True)
    assert (tmp_path / "home/one/data").exists()


def test_a_killed_server_starts_again_on_its_port(make_stack: MakeStack) -> None:
    stack = make_stack(valkey(free_port()))
    stack.up()
    before = pid(stack, "valkey")
    stack.restart("valkey", kill=True)
    assert phase(stack, "valkey") is Phase.UP
    assert pid(stack, "valkey") != before
    assert stack.stop("valkey") == ["valkey"]
    assert stack.stop("valkey") == []


def test_the_data_folder_is_formatted_once_and_again_if_that_failed(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    def format_with(script: str) -> Callable[[Path], list[str]]:
        return lambda home: ["/bin/sh", "-c", script, "sh", f"{home}/data"]

    server = small_server("one")
    half = replace(server, format=format_with('touch "$1/half"; echo disk full; exit 1'))
    with pytest.raises(ServersFailed, match="disk full"):
        make_stack(half).up()
    stack = make_stack(replace(server, format=format_with('ls "$1"; date +%N >"$1/formatted"')))
    stack.up()
    formatted = (tmp_path / "stack/one/data/formatted").read_text()
    stack.restart("one")
    assert (tmp_path / "stack/one/data/formatted").read_text() == formatted
    assert not (tmp_path / "stack/one/data/half").exists()


def test_a_server_of_ours_is_prepared_and_one_that_is_not_is_left_as_it_is(make_stack: MakeStack) -> None:
    prepared: list[str] = []
    server = small_server("one")
    ours = replace(server, prepare=lambda: prepared.append("ours"))
    make_stack(ours, directory="owner").up()
    assert "ours" in prepared
    make_stack(replace(server, prepare=lambda: prepared.append("foreign")), directory="guest").up()
    assert "foreign" not in prepared


@pytest.mark.usefixtures("programs")
def test_without_java_nothing_is_started(make_stack: MakeStack, tmp_path: Path) -> None:
    kafka = next(server for server in SERVERS if server.name == "kafka")
    with pytest.raises(MissingProgram, match="openjdk-17-jre-headless"):
        make_stack(small_server("one"), kafka).up()
    assert not (tmp_path / "stack").exists()


def test_a_family_is_a_name_for_all_its_servers(tmp_path: Path) -> None:
    names = [server.name for server in Stack(tmp_path).select(["druid"])]
    assert names == [
        "druid-zookeeper",
        "druid-coordinator",
        "druid-historical",
        "druid-broker",
        "druid-indexer",
    ]


def test_a_name_that_no_server_has_is_an_error_that_lists_the_names(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="rabbit; there are: cassandra, kafka, valkey, opensearch, druid"):
        Stack(tmp_path).select(["kafka", "rabbit"])


def test_following_a_log_gives_its_end_and_then_what_comes(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(small_server("one"))
    stack.up()
    log = tmp_path / "stack/logs/one.log"
    log.write_text("1\n2\n3\n")
    following = stack.logs("one", follow=True, lines=2)
    assert [next(following), next(following)] == ["2\n", "3\n"]
    with log.open("a") as more:
        more.write("4\n")
    assert next(following) == "4\n"


def test_the_log_of_what_never_started_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no log"):
        Stack(tmp_path).logs("kafka")
    with pytest.raises(StackError, match="druid-broker"):
        Stack(tmp_path).logs("druid")


def test_two_that_start_it_at_once_start_it_once(make_stack: MakeStack) -> None:
    server = small_server("one")
    first, second = make_stack(server), make_stack(server)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda stack: stack.up(), [first, second]))
    assert outcomes == [{"one": Phase.UP}] * 2
    assert first.down() == ["one"]
    assert phase(second, "one") is Phase.STOPPED


def test_the_settings_point_cohort_to_these_servers(tmp_path: Path) -> None:
    assert Stack(tmp_path).environment() == {
        "COHORT_ROWS": "cassandra://cohort:cohort@127.0.0.1:9042/cohort",
        "COHORT_EVENTS": "kafka://127.0.0.1:9092",
        "COHORT_CACHE": "redis://127.0.0.1:6379/0",
        "COHORT_GROUPS": "druid://127.0.0.1:8082?coordinator=127.0.0.1:8081",
        "COHORT_SEARCH": "opensearch://127.0.0.1:9200",
        "COHORT_BLOBS": "s3://cohort:cohort-secret@cohort?endpoint=http://127.0.0.1:7070&region=us-east-1",
    }
    assert list(Stack(tmp_path).environment(["valkey", "druid"])) == ["COHORT_CACHE", "COHORT_GROUPS"]
