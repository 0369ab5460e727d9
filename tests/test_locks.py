"""The locks are whole: they name all that is installed, extras included, so that installing has nothing to resolve."""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
BUILD, RUN, DEV = "requirements-build.lock", "requirements.lock", "requirements-dev.lock"
NODE = "requirements-node.lock"
"""What CI brings where the machine has no Node: in an environment of its own."""

PLACES = [
    {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": system}
    for version in ("3.11", "3.12", "3.13", "3.14")
    for system in ("linux", "darwin")
]
"""Where Cohort can be installed, as markers see it."""


@cache
def locked(*locks: str) -> tuple[Requirement, ...]:
    text = "".join((ROOT / lock).read_text() for lock in locks)
    entries = re.findall(r"^(\S.*?)(?: \\\n +--hash=sha256:[0-9a-f]{64})+$", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[^ #\n]", text, re.MULTILINE)), (
        "each has a hash, and nothing else is there"
    )
    return tuple(map(Requirement, entries))


@cache
def declared() -> dict[str, tuple[Requirement, ...]]:
    """What pyproject.toml asks of each lock."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = document["dependency-groups"]
    asked = {
        BUILD: [*document["build-system"]["requires"], *groups["build"]],
        RUN: [*document["project"]["dependencies"], *document["project"]["optional-dependencies"]["mcp"]],
        DEV: groups["dev"],
        NODE: groups["node"],
    }
    return {lock: tuple(map(Requirement, lines)) for lock, lines in asked.items()}


def applies(requirement: Requirement, place: Mapping[str, str], extras: Iterable[str] = ()) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**place, "extra": extra}) for extra in ("", *extras))


def needs(entry: Requirement, place: Mapping[str, str], extras: Iterable[str]) -> list[Requirement]:
    """By the release's own words, where it is the one that is installed here."""
    version, all_needs = installed(entry.name)
    if version is None or not entry.specifier.contains(version, prereleases=True):
        return []
    return [need for need in all_needs if applies(need, place, extras)]


@cache
def installed(name: str) -> tuple[str | None, list[Requirement]]:
    try:
        release = distribution(name)
    except PackageNotFoundError:
        return None, []
    return release.version, [*map(Requirement, release.requires or ())]


def lacking(
    entries: Iterable[Requirement], asked: Iterable[Requirement], place: Mapping[str, str]
) -> set[str]:
    """What an installer would have to look for elsewhere: an absent package, extra or version."""
    there = {canonicalize_name(entry.name): entry for entry in entries if applies(entry, place)}
    left = [one for one in asked if applies(one, place)]
    seen: set[str] = set()
    found: set[str] = set()
    while left:
        need = left.pop()
        if (text := f"{need.name}{sorted(need.extras)}{need.specifier}") in seen:
            continue
        seen.add(text)
        entry = there.get(canonicalize_name(need.name))
        (pin,) = entry.specifier if entry else (None,)
        if entry is None or pin is None or not need.extras <= entry.extras:
            found.add(str(need))
        elif not need.specifier.contains(pin.version, prereleases=True):
            found.add(f"{need}, not {pin.version}")
        else:
            left += needs(entry, place, need.extras)
    return found


@pytest.mark.parametrize(
    "place", PLACES, ids=lambda place: f"{place['python_version']}-{place['sys_platform']}"
)
@pytest.mark.parametrize("locks", [(BUILD,), (BUILD, RUN), (BUILD, RUN, DEV)], ids=len)
def test_a_lock_lacks_nothing(locks: tuple[str, ...], place: dict[str, str]) -> None:
    asked = [one for lock in locks for one in declared()[lock]]
    assert lacking(locked(*locks), asked, place) == set()


def test_whatever_is_taken_out_of_the_locks_is_missed() -> None:
    locks, here = (
        (BUILD, RUN, DEV),
        dict[str, str](),
    )  # where this runs: elsewhere other releases may be installed
    asked = [one for lock in locks for one in declared()[lock]]
    names = {entry.name for entry in locked(*locks) if applies(entry, here)}
    assert len(names) > 70
    for name in names:
        rest = [entry for entry in locked(*locks) if entry.name != name]
        assert lacking(rest, asked, here), f"nothing needs {name}"


def test_an_extra_that_is_not_spelled_is_missed() -> None:
    """coverage[toml], of pytest-cov: an installer took the newest coverage for it, whatever the lock had."""
    without = [
        Requirement(re.sub(r"\[.*\]", "", str(entry))) if entry.name == "coverage" else entry
        for entry in locked(BUILD, RUN, DEV)
    ]
    (found,) = lacking(without, declared()[DEV], {})
    assert found.startswith("coverage[toml]")


def test_the_locks_agree_and_name_no_host() -> None:
    for place in PLACES:
        pins: dict[str, set[str]] = {}
        for entry in locked(BUILD, RUN, DEV):
            if applies(entry, place):
                pins.setdefault(entry.name, set()).add(str(entry.specifier))
        assert {name: found for name, found in pins.items() if len(found) > 1} == {}
    assert not any("://" in (ROOT / lock).read_text() for lock in (BUILD, RUN, DEV, NODE))


def test_ci_brings_no_node_but_the_locked_one() -> None:
    (asked,) = declared()[NODE]
    wheel, binaries = locked(NODE)
    assert (wheel.name, binaries.name) == (asked.name, f"{asked.name}-binaries")
    for one in (wheel, binaries):
        (pin,) = one.specifier
        assert (pin.operator, pin.version in asked.specifier) == ("==", True)
    assert f"--require-hashes --only-binary :all: -r {NODE}" in (ROOT / ".ci/run").read_text()


# --- installing


def add_wheel(index: Path, name: str, version: str, *metadata: str) -> str:
    """To an index in a folder; returns the hash."""
    stem, path = f"{name}-{version}", index / name / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as wheel:
        head = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata)
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join((*head, "")))
        wheel.writestr(
            f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Index(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that is served as a package index, and where."""
    folder = tmp_path / "index"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_what_is_installed_is_what_the_lock_names_whatever_is_newer(
    index: tuple[Path, str], tmp_path: Path
) -> None:
    """Through scripts/environment, from an index that pip's own setting names."""
    folder, url = index
    base = add_wheel(folder, "base", "1.0", "Provides-Extra: more")
    add_wheel(folder, "base", "2.0", "Provides-Extra: more", "Requires-Dist: another")
    user = add_wheel(folder, "user", "1.0", "Requires-Dist: base[more]>=0.5")
    add_wheel(folder, "user", "2.0")
    environment, lock = tmp_path / "environment", tmp_path / "some.lock"
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "pip").symlink_to(str(distribution("pip").locate_file("pip")))  # to install it takes seconds
    (environment / "bin/uv").symlink_to(Path(sys.executable).with_name("uv"))

    def install(text: str) -> subprocess.CompletedProcess[str]:
        lock.write_text(text)
        script = f". scripts/environment; venv={shlex.quote(str(environment))}; sync_environment {shlex.quote(str(lock))}"
        told = {"PIP_INDEX_URL": url, "UV_NO_CACHE": "1", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        return subprocess.run(
            ["bash", "-ec", script], cwd=ROOT, env=told, capture_output=True, text=True, check=False
        )

    whole = f"user==1.0 --hash=sha256:{user}\nbase[more]==1.0 --hash=sha256:{base}\n"
    forged = install(whole.replace(user, base))
    assert forged.returncode != 0
    assert "ash mismatch" in forged.stderr
    done = install(whole)
    assert done.returncode == 0, done.stderr
    there = {path.name for path in environment.glob("lib/python*/site-packages/*.dist-info")}
    assert {name for name in there if not name.startswith(("pip-", "setuptools-"))} == {
        "user-1.0.dist-info",
        "base-1.0.dist-info",
    }
