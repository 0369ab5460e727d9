"""The dashboard and the alerts in operations/ ask for metrics that there are, and each alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.errors import CohortError, StoreUnavailable
from rules.jobs import JobState
from telemetry.metrics import REGISTRY
from telemetry.sources import SOURCES
from tests.test_citations import anchors

ROOT = Path(__file__).parent.parent
USED = re.compile(r"\b(cohort_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
OF_PROMETHEUS = {"job", "instance"}
"""Labels that every metric has."""
VALUES = {
    "state": {state.value for state in JobState},
    "code": {CohortError.code, StoreUnavailable.code},
    "result": {"hit", "miss"},
}


def labels_of_metrics() -> dict[str, set[str]]:
    """By the name in an expression: the labels that it has."""
    found: dict[str, set[str]] = {}
    assert SOURCES in REGISTRY._collector_to_names
    for collector in [*REGISTRY._collector_to_names]:
        labels = set(getattr(collector, "_labelnames", ()))
        kind, name = getattr(collector, "_type", ""), getattr(collector, "_name", "")
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        elif kind:
            found[f"{name}_total" if kind == "counter" else name] = labels
        else:
            for family in collector.collect():
                found[f"{family.name}_total"] = set(family._labelnames)  # type: ignore[attr-defined]
    return found


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "operations" / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "operations" / "grafana.json").read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def wrong_in(expression: str) -> list[str]:
    """The metrics and labels in it that there are not."""
    known, wrong, there = labels_of_metrics(), [], set(OF_PROMETHEUS)
    for name, matchers in USED.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        there |= known[name]
        for label, value in MATCHER.findall(matchers):
            if label not in known[name] | OF_PROMETHEUS:
                wrong.append(f"{name}{{{label}}}")
            wrong += [one for one in value.split("|") if label in VALUES and one not in VALUES[label]]
    for labels in GROUPED.findall(expression):
        wrong += [one.strip() for one in labels.split(",") if one.strip() not in there]
    return wrong


def test_every_expression_is_of_metrics_and_labels_that_there_are() -> None:
    found = {title: wrong for title, expression in expressions() if (wrong := wrong_in(expression))}
    assert found == {}
    assert len(list(expressions())) > 30


@pytest.mark.parametrize(
    "expression",
    [
        "rate(cohort_request_total[5m])",
        'cohort_requests_total{operation="x"}',
        "sum by (store) (cohort_dead_letters)",
        'cohort_jobs{state="broken"}',
    ],
)
def test_a_name_that_is_not_there_is_seen(expression: str) -> None:
    assert wrong_in(expression)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    missing = {
        name
        for name in labels_of_metrics()
        if name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") not in shown
    }
    assert missing == set()


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    there = anchors(ROOT / "docs" / "operations.md")
    for rule in alerts():
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert (page, section in there) == ("docs/operations.md", True), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_alerts_and_panels_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
