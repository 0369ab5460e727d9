"""The example in TypeScript: made from the served schema, compiled strictly, and run against the Cohort that serves it."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.trusted_documents import read_manifest
from graph.manifests import checked_documents
from graph.schema import schema
from tests.clients.conftest import Served
from tests.node import TIME, chromium, installed

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(700)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "typescript"


def run(*command: str, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=EXAMPLE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIME,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_types_are_made_from_what_is_served_and_its_caches_show_what_was_answered(served: Served) -> None:
    installed(EXAMPLE)
    shutil.rmtree(EXAMPLE / "build", ignore_errors=True)
    run("npm", "run", "build", COHORT_SCHEMA=f"{served.url}/graphql")
    run("npm", "test", **served.environment)
    manifest = read_manifest(EXAMPLE / "src" / "generated" / "persisted-documents.json")
    documents, problems = checked_documents(schema, manifest, datetime.now(UTC))
    assert problems == [], "the manifest that it writes can be loaded"
    assert {"MyCourses", "GroupPage"} <= {document.name for document in documents}


def test_a_page_of_another_origin_shows_the_group_and_asks_whether_it_still_holds(served: Served) -> None:
    installed(EXAMPLE)
    run("node", "--test", "test/browser.test.mjs", CHROMIUM=chromium(), **served.environment)
