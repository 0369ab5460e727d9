"""The pages in a real browser: pages.test.mjs, with two instances to look at."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.dev_tokens import LEARNER, token_of
from gateway.settings import load_settings
from tests.node import chromium, run_tests

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(700)]

KEY = "k" * 32
COHORT = (sys.executable, "-m", "gateway.cli")


@contextmanager
def running(folder: Path, *command: str, **settings: str) -> Iterator[str]:
    """The URL of a process of its own, in the folder."""
    folder.mkdir()
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith("COHORT_")}
    environment = {**others, "COHORT_JWT_KEY": KEY, **settings}
    if command[0] == "serve":
        subprocess.run([*COHORT, "init"], cwd=folder, env=environment, check=True, capture_output=True)
    process = subprocess.Popen(
        [*COHORT, *command, "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"Cohort (?:is ready:|listens on) (http://[\d.:]+)", line):
                yield found[1]
                return
        raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.communicate()


def test_a_browser_shows_them_and_they_do_what_they_say(tmp_path: Path) -> None:
    settings = load_settings(jwt_key=KEY)
    with (
        running(tmp_path / "sample", "dev") as url,
        running(tmp_path / "closed", "serve", COHORT_EXPLORER="authenticated") as closed_url,
    ):
        run_tests(
            Path(__file__).with_name("pages.test.mjs"),
            COHORT_URL=url,
            COHORT_CLOSED_URL=closed_url,
            COHORT_TOKEN=token_of(settings, LEARNER),
            CHROMIUM=chromium(),
        )
