"""The example in Python: its client is made from the served schema, checked strictly, and run against that Cohort."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from rules.viewers import Role
from tests.clients.conftest import Served, token

# Not for Node, but for what it has in common with those tests: it downloads packages, which only CI does.
pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "python"


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_of(lock: Path, folder: Path) -> Path:
    """The folder of programs of an environment that has what the lock names and nothing else: the generator needs another
    graphql-core than Cohort."""
    run(sys.executable, "-m", "venv", folder, folder=ROOT)
    pip = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary",
        ":all:",
    )
    run(folder / "bin" / "python", *pip, "-r", lock, folder=ROOT)
    return folder / "bin"


def test_its_types_are_made_from_what_is_served_and_its_answers_are_those_served(
    served: Served, tmp_path: Path
) -> None:
    programs = environment_of(EXAMPLE / "requirements.lock", tmp_path / "venv")
    folder = tmp_path / "example"
    folder.mkdir()
    settings = (EXAMPLE / "pyproject.toml").read_text()
    for said, here in (
        ('schema_path = "../../graph/schema.graphql"', f'remote_schema_url = "{served.url}/graphql"'),
        ("../../gateway/static/queries", str(ROOT / "gateway" / "static" / "queries")),
    ):
        assert said in settings
        settings = settings.replace(said, here)
    (folder / "pyproject.toml").write_text(settings)
    (folder / "pages.py").write_text((EXAMPLE / "pages.py").read_text())
    run(programs / "ariadne-codegen", folder=folder)
    run(programs / "mypy", "pages.py", folder=folder)

    told = run(
        programs / "python", "-W", "error", "pages.py", folder=folder, **served.environment
    ).splitlines()

    mine = ask(
        served,
        "ada",
        "{ me { enrolments(filter: { active: true }) { edges { node { collection { name } completionPercentage } } } } }",
    )
    nodes = [edge["node"] for edge in mine["me"]["enrolments"]["edges"]]
    assert len(nodes) > 2, "too few for two pages"
    homes = [f"{node['collection']['name']}: {node['completionPercentage']} %, enrolled " for node in nodes]
    assert [line[: len(home)] for line, home in zip(told, homes, strict=False)] == homes
    units = ask(
        served,
        "ada",
        '{ collection(identifier: "sky") { children { name viewerProgress(contextId: "sky-open") { completionPercentage } } } }',
    )
    shown = [
        f"  {unit['name']}: {unit['viewerProgress']['completionPercentage']} %"
        for unit in units["collection"]["children"]
    ]
    assert told[len(homes) : len(homes) + len(shown)] == shown
    group = ask(
        served,
        "backend",
        '{ group(groupId: "evening-class") { activities { type enrolledCount members(first: 150) { totalCount } } } }',
        Role.SERVICE,
    )
    assert told[len(homes) + len(shown) :] == [
        f"{one['type']}: {one['enrolledCount']} enrolled, {one['members']['totalCount']} members"
        for one in group["group"]["activities"]
    ]


def ask(served: Served, user: str, query: str, role: Role = Role.LEARNER) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token(user, role)}"}
    answer = httpx.post(f"{served.url}/graphql", json={"query": query}, headers=headers, timeout=60).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data
