"""What Prometheus reads of a process: each promise of docs/operations.md about figures."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.identity import make_token
from gateway.settings import PROCESSES, Settings
from ingest.workers.dead_letters import dead_letter
from rules.viewers import Role
from stores.events import Message, Record
from stores.topics import DEAD_LETTERS, TRIGGERS
from telemetry.metrics import REGISTRY, exposed, observe_cost
from telemetry.operations import OFTEN
from tests.gateway.conftest import Serving, copy_data

pytestmark = pytest.mark.long

ME = "query WhoAmI { me { userId } }"
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """By name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def own(*names: str) -> dict[Sample, float]:
    """Those of this process, without writing and reading them as text, which takes a tenth of a second; or of metrics with these
    names, which are no figures of stores: what those are called is known once they are asked."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in (REGISTRY.restricted_registry(names) if names else REGISTRY).collect()
        for sample in family.samples
    }


def grown(before: Mapping[Sample, float], name: str, **labels: str) -> float:
    sample = name, frozenset(labels.items())
    return own().get(sample, 0.0) - before.get(sample, 0.0)


def free_ports(count: int) -> int:
    """The first of so many ports in a row that are free."""
    for first in range(20_000, 60_000, 17):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    one = socket.socket()
                    stack.callback(one.close)
                    one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


def bearer(settings: Settings, user: str = "u1", role: Role = Role.LEARNER) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(settings, user, [role], timedelta(hours=1))}"}


async def scraped(port: int) -> dict[Sample, float]:
    async with httpx.AsyncClient(timeout=60) as client:
        for _ in range(1_200):
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics")
                return samples(answer.text)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
    raise AssertionError(f"nothing answers at {port}")


async def test_requests_are_counted_by_route_status_and_code(settings: Settings, serving: Serving) -> None:
    """Paths are those of routes: what a client puts in one is no label."""
    before = own()
    async with serving(settings) as client:
        await client.get("/health/live")
        await client.get("/v1/collection/hierarchy/secret-id", headers=bearer(settings))
        await client.get("/no/such/secret-path")
        await client.post("/graphql", json={"query": ME}, headers={"Authorization": "Bearer nonsense"})
    assert grown(before, "cohort_requests_total", route="/health/live", status="200") == 1
    assert grown(before, "cohort_requests_total", route="none", status="404") == 1
    assert grown(before, "cohort_requests_total", route="/graphql", status="401") == 1
    assert grown(before, "cohort_errors_total", route="/graphql", code="UNAUTHENTICATED") == 1
    assert grown(before, "cohort_request_seconds_count", route="/graphql") == 1
    assert "secret" not in exposed("")[0].decode()


async def test_an_operation_is_named_once_it_is_asked_for_often(settings: Settings, serving: Serving) -> None:
    before = own()
    async with serving(settings) as client:
        for _ in range(OFTEN + 2):
            answer = await client.post("/graphql", json={"query": ME}, headers=bearer(settings))
            assert answer.json()["data"]["me"]["userId"] == "u1"
    assert grown(before, "cohort_operations_total", type="query", operation="WhoAmI") == 3
    assert grown(before, "cohort_operations_total", type="query", operation="other") == OFTEN - 1


async def test_a_read_shows_in_the_figures_of_its_store_and_its_loader(
    settings: Settings, serving: Serving
) -> None:
    await copy_data(settings, course=True)
    before = own()
    document = 'mutation { startView(input: {contentId: "a", collectionId: "course", contextId: "batch"}) { errors { code } } }'
    async with serving(settings) as client:
        answer = await client.post("/graphql", json={"query": document}, headers=bearer(settings))
        assert answer.status_code == 200
        assert grown(before, "cohort_store_seconds_count", store="rows", operation="insert_if_absent") > 0
        assert (
            grown(before, "cohort_store_statements_total", store="events", statement=f"send {TRIGGERS.name}")
            >= 1
        )


async def test_the_metrics_have_a_port_of_their_own_and_the_gateway_has_none(
    settings: Settings, serving: Serving
) -> None:
    port = free_ports(1)
    async with serving(settings.model_copy(update={"metrics_port": port})) as client:
        found = await scraped(port)
        assert any(name == "cohort_build_info" for name, _ in found)
        assert (await client.get("/metrics")).status_code == 404
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


async def test_cohort_dev_has_them_beside_everything_else(settings: Settings, serving: Serving) -> None:
    async with serving(settings.model_copy(update={"dev": True, "aggregate_every": 0.0})) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert ("cohort_dead_letters", frozenset()) in samples(answer.text)


async def test_each_of_several_processes_has_a_port(
    settings: Settings, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that Prometheus has the figures of all of them."""
    monkeypatch.setenv(PROCESSES, "2")
    port = free_ports(2)
    first = settings.model_copy(update={"metrics_port": port, "data": tmp_path / "one"})
    second = settings.model_copy(update={"metrics_port": port, "data": tmp_path / "two"})
    async with serving(first):
        await scraped(port)
        async with serving(second):
            assert await scraped(port + 1)


async def test_a_taken_port_is_no_reason_not_to_serve(settings: Settings, serving: Serving) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        async with serving(settings.model_copy(update={"metrics_port": taken})) as client:
            assert (await client.get("/health/live")).status_code == 200


async def test_lag_dead_letters_figures_and_jobs_are_read_by_the_process(
    settings: Settings, serving: Serving
) -> None:
    """Three triggers that no worker takes, and one dead letter."""
    await copy_data(settings)
    async with serving(
        settings.model_copy(update={"metrics_port": free_ports(1), "metrics_every": 0.05})
    ) as client:
        events = client.app.state.cohort.stores.events  # type: ignore[attr-defined]
        record = Record(TRIGGERS.name, 0, 0, 0, "u1", b"{}")
        await events.send(TRIGGERS.name, *(Message("u1", b"{}") for _ in range(3)))
        await events.send(DEAD_LETTERS.name, dead_letter(record, "broken"))
        lag: Sample = (
            "cohort_consumer_lag_events",
            frozenset({("group", "workers"), ("topic", TRIGGERS.name)}),
        )
        async with asyncio.timeout(60):
            while ((known := own()).get(lag), known.get(("cohort_dead_letters", frozenset()))) != (3, 1):
                await asyncio.sleep(0.05)
    for what in ("lag", "aggregation", "dead letters", "jobs"):
        assert own()["cohort_instance_read_timestamp_seconds", frozenset({("what", what)})] > 0


def test_what_a_request_cost_is_counted_beside_what_was_estimated() -> None:
    before = own()
    observe_cost(100, 3)
    observe_cost(None, 5)
    assert grown(before, "cohort_request_cost_points_count", kind="estimate") == 1
    assert grown(before, "cohort_request_cost_points_sum", kind="actual") == 8
