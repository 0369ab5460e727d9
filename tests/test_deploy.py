"""The image and the manifests for Kubernetes say what is true of this program: files and commands that there are, settings, ports
and paths, and the rules of the restricted profile. Neither is built or applied here (docs/deploy.md says how they were tried)."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import kubernetes_validate
import pytest
import yaml
from starlette.routing import Route

from gateway.app import create_app
from gateway.cli import app
from gateway.settings import Settings, load_settings
from stores.urls import is_embedded
from tests.stores.grants import (
    CASSANDRA_OF_INIT,
    CASSANDRA_OF_PROCESSES,
    CREATE,
    DESCRIBE,
    GROUP,
    KAFKA_OF_INIT,
    KAFKA_OF_PROCESSES,
    READ,
    REDIS,
    TOPIC,
    WRITE,
)

ROOT = Path(__file__).parent.parent
MANIFESTS = ROOT / "deploy" / "kubernetes"
OF_OTHERS = {"PodMonitor", "Kustomization"}
"""Kinds that are not of Kubernetes itself."""
OLDEST = "1.29"
"""The release of Kubernetes that all of it is valid for, and for each until the newest."""


@cache
def manifests() -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.name, document)
        for path in sorted(MANIFESTS.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def of_kind(kind: str) -> Iterator[dict[str, Any]]:
    return (document for _, document in manifests() if document["kind"] == kind)


def pods() -> dict[str, dict[str, Any]]:
    """By the name of what makes them."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for kind in ("Deployment", "Job")
        for document in of_kind(kind)
    }


def container(pod: dict[str, Any]) -> dict[str, Any]:
    [only] = pod["containers"]
    assert isinstance(only, dict)
    return only


# --- Kubernetes


@pytest.mark.parametrize("version", [OLDEST, "1.33", kubernetes_validate.latest_version()])
def test_each_manifest_is_valid(version: str) -> None:
    of_kubernetes = [document for _, document in manifests() if document["kind"] not in OF_OTHERS]
    assert len(of_kubernetes) > 8
    for document in of_kubernetes:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    [job] = of_kind("Job")
    job = json.loads(json.dumps(job))
    job["spec"]["template"]["spec"]["containers"][0]["enviroment"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, OLDEST, strict=True)


def test_every_variable_is_a_setting_and_together_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COHORT_"):
            monkeypatch.delenv(name)
    found: dict[str, Settings] = {}
    [config] = of_kind("ConfigMap")
    for secret in of_kind("Secret"):  # the second one's win over those of the first
        for name, value in {**config["data"], **secret["stringData"]}.items():
            assert isinstance(value, str)
            monkeypatch.setenv(name, value)
        found[secret["metadata"]["name"]] = load_settings()
    settings = found["cohort"]
    assert settings.stores.keys() == {"rows", "events", "cache", "groups", "blobs", "search"}
    assert not any(map(is_embedded, settings.stores.values()))
    assert found["cohort-operator"].rows != settings.rows


def test_no_variables_come_from_services() -> None:
    """Kubernetes sets COHORT_SERVICE_HOST, COHORT_PORT and others in each pod of a namespace with a Service that is called cohort."""
    for pod in pods().values():
        assert pod["enableServiceLinks"] is False


def test_processes_are_given_time_to_end() -> None:
    """docs/operations.md: drain + request_timeout + 20 s."""
    [config] = of_kind("ConfigMap")
    needed = float(config["data"]["COHORT_DRAIN"]) + float(config["data"]["COHORT_REQUEST_TIMEOUT"]) + 20
    for name in ("cohort-gateway", "cohort-worker"):
        assert pods()[name]["terminationGracePeriodSeconds"] >= needed
    text = (ROOT / "docs" / "operations.md").read_text()
    assert "`drain` + `request_timeout` + 20 s" in text
    readiness = container(pods()["cohort-gateway"])["readinessProbe"]
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert noticed < float(config["data"]["COHORT_DRAIN"]), "others are told before nobody can connect"


def test_a_worker_may_wait_for_its_stores() -> None:
    [config] = of_kind("ConfigMap")
    startup = container(pods()["cohort-worker"])["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > float(
        config["data"]["COHORT_WAIT_FOR_STORES"]
    )


def test_probes_ask_for_paths_and_ports_that_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    [config] = of_kind("ConfigMap")
    ports = {
        "http": int(config["data"]["COHORT_PORT"]),
        "metrics": int(config["data"]["COHORT_METRICS_PORT"]),
    }
    routes = create_app(load_settings(jwt_key="k" * 32)).routes
    paths = {route.path for route in routes if isinstance(route, Route)}
    for pod in pods().values():
        named = {port["name"]: port["containerPort"] for port in container(pod).get("ports", ())}
        assert named.items() <= ports.items()
        probes = [probe for name, probe in container(pod).items() if name.endswith("Probe")]
        for probe in probes:
            asked = probe["httpGet"]
            assert asked["port"] in named
            # The port of the metrics has them alone.
            assert asked["path"] in (paths if asked["port"] == "http" else {"/metrics"})
    for service in of_kind("Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
    for monitor in of_kind("PodMonitor"):
        assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} == {"metrics"}


def test_pods_keep_to_the_restricted_profile() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a root that can't be written to."""
    assert pods().keys() == {"cohort-gateway", "cohort-worker", "cohort-init"}
    for pod in pods().values():
        whole = pod["securityContext"]
        assert whole["runAsNonRoot"]
        assert whole["runAsUser"] > 0
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        kinds = {name for volume in pod["volumes"] for name in volume if name != "name"}
        assert kinds == {"emptyDir", "secret"}
        assert container(pod)["resources"]["limits"].keys() == {"memory"}


def test_pods_have_the_volumes_that_the_settings_name() -> None:
    [config] = of_kind("ConfigMap")
    secrets = "\n".join(url for secret in of_kind("Secret") for url in secret["stringData"].values())
    files = set(re.findall(r"(?:ca|cert|key)=(/[^&\n]+)", secrets))
    assert files
    for pod in pods().values():
        mounts = {mount["mountPath"]: mount["name"] for mount in container(pod)["volumeMounts"]}
        assert config["data"]["COHORT_DATA"] in mounts
        assert {str(Path(file).parent) for file in files} <= mounts.keys()
        assert {*mounts.values()} == {volume["name"] for volume in pod["volumes"]}
        sources = {
            name for source in container(pod)["envFrom"] for one in source.values() if (name := one["name"])
        }
        made = {d["metadata"]["name"] for kind in ("ConfigMap", "Secret") for d in of_kind(kind)}
        assert sources <= made


def test_what_selects_pods_selects_some() -> None:
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "Job")
        for document in of_kind(kind)
    ]
    selectors = [d["spec"]["selector"] for d in of_kind("Service")]
    selectors += [d["spec"]["selector"]["matchLabels"] for d in of_kind("PodDisruptionBudget")]
    selectors += [d["spec"]["selector"]["matchLabels"] for d in of_kind("Deployment")]
    selectors += [d["spec"]["podSelector"]["matchLabels"] for d in of_kind("NetworkPolicy")]
    assert len(selectors) == 6
    for selector in selectors:
        assert any(selector.items() <= each.items() for each in labels), selector
    deployments = {document["metadata"]["name"] for document in of_kind("Deployment")}
    for scaler in of_kind("HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in deployments


def test_commands_of_pods_are_commands() -> None:
    names = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    for pod in pods().values():
        [command] = container(pod)["args"]
        assert command in names


def test_all_manifests_but_those_for_some_are_in_the_kustomization() -> None:
    [kustomization] = of_kind("Kustomization")
    others = {"kustomization.yaml", "init.yaml", "secret.example.yaml", "podmonitor.yaml"}
    assert {*kustomization["resources"]} == {name for name, _ in manifests()} - others
    images = {container(pod)["image"] for name, pod in pods().items() if name != "cohort-init"}
    assert images == {image["name"] for image in kustomization["images"]}
    [image] = kustomization["images"]
    assert container(pods()["cohort-init"])["image"] == f"{image['newName']}:{image['newTag']}"


# --- the image


@cache
def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()
    ]


def instruction(name: str) -> str:
    return [rest for what, rest in instructions() if what == name][-1]


def allowed() -> set[str]:
    """What .dockerignore lets into the build."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in lines
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_what_the_image_copies_is_there_and_is_all_that_the_package_has() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {"pyproject.toml", document["project"]["readme"], *document["project"]["license-files"]}
    locks = {"requirements-build.lock", "requirements.lock"}
    assert allowed() == {*packages, *files, *locks}
    assert all((ROOT / name).exists() for name in allowed())
    copied = [rest.split() for what, rest in instructions() if what == "COPY" and "--from" not in rest]
    assert copied == [["requirements-build.lock", "requirements.lock", "./"], [".", "source"]]


def test_what_the_image_copies_is_enough_to_build_all_of_the_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *sorted(allowed())],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    there = set(ZipFile(wheel).namelist())
    assert {name for name in tracked if "/" in name} <= there


def test_the_image_installs_what_the_locks_name_by_hash_and_nothing_else() -> None:
    installs = [
        part.strip()
        for what, rest in instructions()
        if what == "RUN"
        for part in rest.split("&&")
        if re.search(r"\bpip\b.*\b(install|wheel)\b", part)
    ]
    assert len(installs) == 4
    for line in installs:
        assert "--no-deps" in line
        assert ("--require-hashes" in line and ".lock" in line) or "--no-index" in line


def test_the_image_is_of_the_python_that_types_are_checked_for() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    python = re.search(r"python:(\d+\.\d+)-slim", instruction("ARG") + str(instructions()))
    assert python
    assert python[1] == document["tool"]["mypy"]["python_version"]
    assert document["project"]["requires-python"] == f">={python[1]}"


def test_the_image_runs_cohort_as_nobody_in_particular() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["/opt/cohort/bin/cohort"]
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "cohort" in document["project"]["scripts"]
    assert json.loads(instruction("CMD")) == ["serve"]
    assert instruction("STOPSIGNAL") == "SIGTERM"
    assert [user for user in instruction("USER").split(":") if int(user) > 0] == ["10001", "10001"]
    for pod in pods().values():
        assert pod["securityContext"]["runAsUser"] == 10001
    last = [what for what, _ in instructions()]
    assert "RUN" not in last[len(last) - 1 - last[::-1].index("FROM") :], (
        "no shell is needed in the last stage"
    )


def test_variables_of_the_image_are_settings_and_its_health_check_asks_for_a_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = dict(word.split("=", 1) for word in shlex.split(instruction("ENV")))
    for name, value in variables.items():
        if name.startswith("COHORT_"):
            monkeypatch.setenv(name, value)
    settings = load_settings(jwt_key="k" * 32)
    assert settings.host == "0.0.0.0"
    assert str(settings.port) == instruction("EXPOSE")
    check = instruction("HEALTHCHECK")
    assert "/health/ready" in check
    assert json.loads(check[check.index("CMD") + 3 :])[0] == "/opt/cohort/bin/python"
    assert str(settings.data) == instruction("WORKDIR")


# --- the page


def test_the_page_names_the_grants_that_tests_run_with() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    assert f"GRANT {', '.join(CASSANDRA_OF_PROCESSES)}" not in page, "CQL has no lists of them"
    for role, grants in (("operator", CASSANDRA_OF_INIT), ("cohort", CASSANDRA_OF_PROCESSES)):
        there = re.findall(rf"GRANT (\w+) ON KEYSPACE cohort TO {role};", page)
        assert tuple(there) == grants
    assert f"~cohort:* resetchannels -@all {REDIS}" in page
    operations = {"Read": READ, "Write": WRITE, "Create": CREATE, "Describe": DESCRIBE}
    for user, acls in (("operator", KAFKA_OF_INIT), ("cohort", KAFKA_OF_PROCESSES)):
        for kind, resource in (("topic", TOPIC), ("group", GROUP)):
            line = re.search(rf"User:{user} (.*)--{kind} cohort\.", page)
            named = (
                {operations[word] for word in re.findall(r"--operation (\w+)", line[1])} if line else set()
            )
            wanted = {one for acl in acls if acl.resource == resource for one in acl.operations}
            assert named == wanted, (user, kind)
