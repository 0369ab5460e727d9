"""Go, and programs that are built."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stack import programs as built
from stack.errors import MissingProgram, ServersFailed, StackError
from stack.servers import versitygw
from tests.stack.small import MakeStack, free_port, small_server

Install = Callable[[str, str], None]
# Takes the place of Go: says its version, or puts one program into GOBIN.
GO = 'case $1 in version) echo go version go1.26.8 linux/amd64;; *) touch "$GOBIN/program";; esac'
MODULE = "example.org/program@v1"


@pytest.mark.usefixtures("programs")
def test_a_missing_go_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingProgram, match="apt-get install -y golang-go") as caught:
        built.go()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("version", ["go1.19.8", "go1.24"])
def test_an_old_go_is_refused_with_its_version(programs: Install, version: str) -> None:
    programs("go", f"echo go version {version} linux/amd64")
    with pytest.raises(MissingProgram, match=version):
        built.go()


@pytest.mark.parametrize("version", ["go1.25.0", "go1.26.8", "go2.0"])
def test_a_go_that_is_new_enough_is_taken(programs: Install, version: str) -> None:
    programs("go", f"echo go version {version} linux/amd64")
    assert built.go().endswith("/programs/go")


def test_without_go_nothing_is_started_that_needs_a_program_built(
    programs: Install, make_stack: MakeStack, tmp_path: Path
) -> None:
    server = versitygw(free_port())
    with pytest.raises(MissingProgram, match="Go"):
        make_stack(small_server("one"), server).up()
    assert not (tmp_path / "stack").exists()
    programs("mkdir", "exit 1")
    home = tmp_path / "stack" / "versitygw"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "module").write_text(f"{server.module}@{server.version}")
    with pytest.raises(ServersFailed, match="could not format"):  # so it went on without Go
        make_stack(server).up()


def test_a_build_that_broke_off_is_no_build_and_is_tried_again(programs: Install, tmp_path: Path) -> None:
    home = tmp_path / "program"
    programs("go", f'{GO}; [ "$1" = version ] || {{ echo no such module; exit 1; }}')
    with pytest.raises(StackError, match="no such module"):
        built.build(home, MODULE)
    assert not built.present(home, MODULE)
    assert not (home / "bin").exists()
    programs("go", GO)
    built.build(home, MODULE)
    assert built.present(home, MODULE)
    assert {path.name for path in (home / "bin").iterdir()} == {"program", "module"}


def test_a_program_that_is_there_is_not_built_again_and_one_of_another_version_is_replaced(
    programs: Install, tmp_path: Path
) -> None:
    programs("go", GO)
    home = tmp_path / "program"
    built.build(home, MODULE)
    (home / "bin" / "old").touch()
    programs("go", "exit 1")
    built.build(home, MODULE)
    assert (home / "bin" / "old").exists()
    programs("go", GO)
    built.build(home, "example.org/program@v2")
    assert not (home / "bin" / "old").exists()
    assert built.present(home, "example.org/program@v2")
