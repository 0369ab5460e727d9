"""Encrypted zips: who has the password reads them, by whatever program; nobody else does."""

import os
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stores.zip_files import zipped
from tests.stores.zips import WrongPassword, unzipped

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_who_has_the_password_gets_the_file_and_nobody_else() -> None:
    content = [b"one,two\r\n" * 10_000, os.urandom(100_000)]
    archive = b"".join(zipped("rows.csv", AT, content, "correct horse"))
    assert unzipped(archive, "correct horse") == {"rows.csv": b"".join(content)}
    assert b"one,two" not in archive
    with pytest.raises(WrongPassword):
        unzipped(archive, "correct house")


def test_two_zips_of_the_same_have_nothing_in_common() -> None:
    first, second = (b"".join(zipped("f", AT, [b"x" * 1000], "password")) for _ in range(2))
    assert first != second


def test_a_zip_is_made_chunk_by_chunk() -> None:
    def content() -> Iterator[bytes]:
        for _ in range(400):
            yield os.urandom(100_000)

    tracemalloc.start()
    size = sum(map(len, zipped("f", AT, content(), "password")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 40_000_000
    assert peak < 4_000_000
