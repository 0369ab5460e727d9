"""Java, Maven, and downloads that may break off."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stack import jars
from stack.errors import MissingProgram, StackError
from stack.servers import SERVERS
from stack.stack import Stack

Install = Callable[[str, str], None]
APT = "apt-get install -y openjdk-17-jre-headless maven"
# Takes the place of Maven: puts one jar into -DoutputDirectory.
MAVEN = 'for word; do case $word in -DoutputDirectory=*) touch "${word#*=}/a.jar";; esac; done'


@pytest.mark.usefixtures("programs")
def test_a_missing_java_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingProgram, match=APT) as caught:
        jars.java()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("version", ["11.0.20", "1.8.0_392"])
def test_an_old_java_is_refused_with_its_version(programs: Install, version: str) -> None:
    programs("java", f"echo 'openjdk version \"{version}\"' >&2")
    with pytest.raises(MissingProgram, match=version):
        jars.java()


def test_the_java_of_java_home_comes_before_the_one_on_the_path(
    programs: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("java", "echo 'openjdk version \"17.0.15\"' >&2")
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_bytes((tmp_path / "programs" / "java").read_bytes())
    (home / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert jars.java() == str(home / "bin" / "java")


def test_a_missing_maven_is_named_only_while_there_are_jars_to_fetch(
    programs: Install, tmp_path: Path
) -> None:
    programs("java", "echo 'openjdk version \"17.0.15\"' >&2")
    stack = Stack(tmp_path / "stack", servers=[server for server in SERVERS if server.name == "kafka"])
    with pytest.raises(MissingProgram, match="Maven"):
        stack.up()
    assert not (tmp_path / "stack").exists()


def test_an_interrupted_download_is_no_download_and_is_tried_again(programs: Install, tmp_path: Path) -> None:
    home = tmp_path / "kafka"
    programs("mvn", f"{MAVEN}; echo the line broke; exit 1")
    with pytest.raises(StackError, match="the line broke"):
        jars.fetch(home, "<project/>")
    assert not jars.present(home, "<project/>")
    assert not (home / "lib").exists()

    programs("mvn", MAVEN)
    jars.fetch(home, "<project/>")
    assert jars.present(home, "<project/>")
    assert [path.name for path in home.iterdir()] == ["lib"]
    assert {path.name for path in (home / "lib").iterdir()} == {"a.jar", "pom.xml"}


def test_jars_that_are_there_are_not_fetched_again(programs: Install, tmp_path: Path) -> None:
    programs("mvn", MAVEN)
    jars.fetch(tmp_path / "kafka", "<project/>")
    programs("mvn", "exit 1")
    jars.fetch(tmp_path / "kafka", "<project/>")


def test_jars_of_another_version_are_replaced(programs: Install, tmp_path: Path) -> None:
    programs("mvn", MAVEN)
    jars.fetch(tmp_path / "kafka", "<project>1</project>")
    (tmp_path / "kafka" / "lib" / "old.jar").touch()
    jars.fetch(tmp_path / "kafka", "<project>2</project>")
    assert not (tmp_path / "kafka" / "lib" / "old.jar").exists()
