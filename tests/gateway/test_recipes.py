"""Recipes for dashboards and notebooks work against a served sample: each panel of Grafana is answered with the columns that
it names, and the notebook runs."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.dev_tokens import REPORTER
from tests.gateway.test_cli import COHORT

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parents[2] / "examples"
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana" / "dashboard.json").read_text())
NOTEBOOK: dict[str, Any] = json.loads((EXAMPLES / "notebook" / "cohort.ipynb").read_text())
VARIABLES = {
    "course": "sky",
    "__from:date:YYYY-MM-DD": time.strftime("%Y-%m-%d", time.gmtime(time.time() - 180 * 86_400)),
    "__to:date:YYYY-MM-DD": time.strftime("%Y-%m-%d", time.gmtime()),
}
PATIENCE = 60.0
"""Seconds until the worker has counted what the sample's learners did."""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The sample, served, once its figures are there. The client has a reporter's token."""
    folder = tmp_path_factory.mktemp("dev")
    process = subprocess.Popen([*COHORT, "dev", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        output = ""
        while "Ctrl-C" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        url = re.findall(r"Cohort is ready: (\S+)/", output)[0]
        made = [*COHORT, "token", *REPORTER.options.split()]
        token = subprocess.run(made, stdout=subprocess.PIPE, text=True, cwd=folder, check=True).stdout.strip()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            wait_for_figures(client)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def wait_for_figures(client: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE
    query = {"metrics": "ENROLLED_COUNT", "activityIds": "sky"}
    while client.get("/metrics/table", params=query).raise_for_status().json()["rows"] in ([[0]], []):
        assert time.monotonic() < until, "no figures of the sample"
        time.sleep(0.2)


def filled_in(url: str) -> str:
    """The URL as Grafana asks for it: each variable has its value."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: VARIABLES[found[1]], url)


@pytest.mark.parametrize("panel", [pytest.param(panel, id=panel["title"]) for panel in DASHBOARD["panels"]])
def test_each_panel_is_answered_with_the_columns_that_it_names(dev: httpx.Client, panel: Any) -> None:
    (target,) = panel["targets"]
    answer = dev.get(filled_in(target["url"]))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert rows
    for column in target["columns"]:
        values = [row[column["selector"]] for row in rows]
        if column["type"] == "number":
            assert sum(float(value or 0) for value in values) > 0, column
        if column["type"] == "timestamp":
            assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", value) for value in values), column
    named = {column["text"] for column in target["columns"]}
    assert panel["options"].get("xField", next(iter(named))) in named


def test_the_notebook_makes_its_tables(dev: httpx.Client, tmp_path: Path) -> None:
    cells = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join(cells))
    token = dev.headers["Authorization"].removeprefix("Bearer ")
    given = {**os.environ, "COHORT_URL": str(dev.base_url).rstrip("/"), "COHORT_TOKEN": token}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=given, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"as of \d{4}-\d\d-\d\dT", done.stdout)
    for told in ("medianProgress", "double", "timestamp", "North", "startedCount", "missing"):
        assert told in done.stdout, done.stdout
