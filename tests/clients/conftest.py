"""A Cohort that is served from its own process, with the sample, for clients of other languages."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.identity import make_token
from gateway.settings import load_settings
from rules.viewers import Role

KEY = "k" * 32


@dataclass(frozen=True)
class Served:
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """Where it is, and tokens by role: what the examples' tests are told."""
        return {
            "COHORT_URL": self.url,
            "COHORT_LEARNER_TOKEN": token("ada", Role.LEARNER),
            "COHORT_MENTOR_TOKEN": token("mira", Role.MENTOR, Role.REPORTER),
            "COHORT_SERVICE_TOKEN": token("backend", Role.SERVICE),
        }


def token(user: str, *roles: Role) -> str:
    return make_token(load_settings(jwt_key=KEY), user, roles, timedelta(hours=1))


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """By the settings without a file; a test may add variables of the environment (``indirect``)."""
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith("COHORT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "dev", "--port", "0"],
        cwd=tmp_path,
        env={**others, "COHORT_JWT_KEY": KEY, **getattr(request, "param", {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"Cohort is ready: (http://[\d.:]+)", line):
                yield Served(found[1])
                return
        raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.communicate()
