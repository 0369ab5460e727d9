"""`cohort migrate legacy --processes`: one command, several processes, from a keyspace on the real server."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from ingest.jobs import parts
from tests.conftest import CASSANDRA
from tests.gateway.test_cli import cohort
from tests.ingest.legacy_platform import OLD
from tests.ingest.test_migration import FIRST, RealKeyspace

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.fixture
def keyspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RealKeyspace]:
    monkeypatch.setenv("COHORT_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert cohort("init").returncode == 0
    made = RealKeyspace()
    asyncio.run(made.lay_out(OLD))
    yield made
    asyncio.run(made.drop())


def test_the_others_do_parts_of_it_and_one_tells(
    keyspace: RealKeyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process takes no part here, so all is done by the two that it starts, each row by one of them. They have the
    password from the environment, not from their command lines."""

    async def takes_none(*_: object) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(parts._Joiner, "_claim", takes_none)
    done = cohort(
        *("migrate", "legacy", "--from", keyspace.url, "--processes", "3", "--report", "shared-JOB.json")
    )
    assert done.returncode == 3, done.stderr
    (file,) = tmp_path.glob("shared-*.json")
    report = orjson.loads(file.read_bytes())
    counts = {
        name: tuple(table[what] for what in ("read", "written", "unchanged", "left"))
        for name, table in report["tables"].items()
    }
    assert counts == {name: counted[:4] for name, counted in FIRST.items()}
    rejected = (tmp_path / f"{file.stem}-rejected.jsonl").read_bytes().splitlines()
    assert len(rejected) == 3
    assert len(re.findall("^user_enrolments ", done.stdout, re.MULTILINE)) == 1
    assert CASSANDRA.partition("@")[0].rpartition(":")[2] + "@" not in done.stdout + done.stderr
    again = cohort(
        "migrate", "legacy", "--from", keyspace.url, "--only-rejected", f"{file.stem}-rejected.jsonl"
    )
    assert again.returncode == 3
    (retried,) = tmp_path.glob("migration-rejected-*.json")
    assert sum(table["read"] for table in orjson.loads(retried.read_bytes())["tables"].values()) == 3
