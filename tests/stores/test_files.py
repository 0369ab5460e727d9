"""Static files: names for any id, and readers that never see a half one."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.identifiers import LONGEST_ID
from stores.files import LONGEST_NAME, Files, safe_name

ids = st.text(min_size=1, max_size=LONGEST_ID)


@given(ids)
@example("..")
@example(".")
@example("../../etc/passwd")
@example("/absolute")
@example("nul\0")
@example("\U0001f600" * LONGEST_ID)
def test_an_id_is_one_short_part_of_a_path_whatever_it_is(id_: str) -> None:
    name = safe_name(id_)
    assert name.isascii()
    assert not set(name) & set('/\\\0"*<>?|')
    assert not name.startswith(".")
    assert 0 < len(name) <= LONGEST_NAME


@given(ids, ids)
@example("a" * 200, "a" * 201)
@example(".", "%2E")
@example("x" * 200, safe_name("x" * 200))
def test_different_ids_have_different_names(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_usual_ids_stand_as_they_are() -> None:
    assert [safe_name(id_) for id_ in ("do_2131.4-5", "cb:batch")] == ["do_2131.4-5", "cb:batch"]
    assert safe_name("a b/c%") == "a%20b%2Fc%25"


async def test_what_has_its_content_already_is_left_as_it_is(tmp_path: Path) -> None:
    files, path = Files(tmp_path / "static"), tmp_path / "static" / "groups" / "g.json"
    assert await files.write("groups/g.json", b"one")
    first = path.stat()
    assert not await files.write("groups/g.json", b"one")
    assert path.stat() == first
    assert await files.write("groups/g.json", b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o444 == 0o444, "whoever serves it may read it"
    assert [*path.parent.iterdir()] == [path]
    assert await files.count("groups") == 1


async def test_a_reader_sees_one_whole_content_or_the_other(tmp_path: Path) -> None:
    files, path, seen = Files(tmp_path), tmp_path / "x.json", set()
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    await files.write("x.json", contents[0])
    writing = asyncio.gather(*(files.write("x.json", content) for content in contents))
    while not writing.done():
        seen.add(await asyncio.to_thread(path.read_bytes))
    await writing
    assert seen <= set(contents)


async def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space")

    files = Files(tmp_path)
    await files.write("a/x.json", b"old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        await files.write("a/x.json", b"new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.json"]
    assert (tmp_path / "a" / "x.json").read_bytes() == b"old"


async def test_a_file_is_removed_with_the_folder_that_it_leaves_empty(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for name in ("a/x.json", "a/y.json", "z.json"):
        await files.write(name, b"{}")
    assert await files.remove("a/x.json")
    assert (tmp_path / "a" / "y.json").exists()
    assert await files.remove("a/y.json")
    assert not (tmp_path / "a").exists()
    assert await files.remove("z.json")
    assert not await files.remove("a/x.json")
    assert await files.count("a") == 0
    assert await files.write("z.json", b"{}"), "the directory itself stays"
