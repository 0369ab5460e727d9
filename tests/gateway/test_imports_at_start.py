"""What a process imports as it starts: nothing that it does not use, as that takes time and memory. A server and a worker are
started once each for all of these tests."""

import subprocess
import sys
from functools import cache

from tests.gateway.conftest import KEY

SERVER = f"""
from gateway.app import create_app
from gateway.settings import load_settings
import stores.search_fts5
create_app(load_settings(jwt_key="{KEY}"))
"""
WORKER = "import gateway.worker_process"


@cache
def packages_after(program: str) -> frozenset[str]:
    """The packages that a process has once it has run this."""
    told = f"{program}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return frozenset(name.partition(".")[0] for name in ran.stdout.split())


def test_nothing_of_the_protocol_is_imported_until_it_is_wanted() -> None:
    assert not {"mcp", "mcp_types"} & packages_after(SERVER)


def test_nothing_of_opentelemetry_is_imported_until_traces_are_wanted() -> None:
    assert "opentelemetry" not in packages_after(SERVER)


def test_an_embedded_instance_starts_without_the_client_of_opensearch() -> None:
    assert {"stores", "duckdb"} <= packages_after(SERVER)
    assert "opensearchpy" not in packages_after(SERVER)


def test_a_worker_starts_without_the_graph() -> None:
    assert {"graph", "strawberry"} <= packages_after(SERVER)
    assert not {"graph", "strawberry", "graphql"} & packages_after(WORKER)


def test_nothing_that_encrypts_files_is_imported_until_one_is_made() -> None:
    for program in (SERVER, WORKER):
        assert not {"stream_zip", "Crypto"} & packages_after(program)
