"""Files of rows: what was written comes back as it was, in every format."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from stores.column_files import ColumnKind, FileFormat, Only, read_file, write_file

COLUMNS = {
    "user_id": ColumnKind.TEXT,
    "count": ColumnKind.INTEGER,
    "score": ColumnKind.NUMBER,
    "active": ColumnKind.BOOLEAN,
    "at": ColumnKind.MOMENT,
    "question": ColumnKind.TEXT,
}
AWKWARD = ['a "quoted", text\r\nof two lines', "", "=1+1", "स्वाति", "NULL", '{"a": [1, null]}', " x "]


async def _written(folder: Path, format: FileFormat, rows: list[dict[str, object]], order: list[str]) -> Path:  # noqa: A002
    lines, to = folder / "lines.json", folder / f"file.{format.value}"
    lines.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    assert await write_file(lines, to, COLUMNS, format, order=order) == len(rows)
    return to


@pytest.mark.parametrize("format", list(FileFormat))
async def test_rows_come_back_as_they_were_written_awkward_texts_and_nulls_among_them(
    tmp_path: Path,
    format: FileFormat,  # noqa: A002
) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123_000, UTC)
    rows: list[dict[str, object]] = [
        {"user_id": f"u{n}", "count": n, "score": 1.33, "active": n % 2 == 0, "at": at, "question": text}
        for n, text in enumerate(AWKWARD)
    ]
    rows.append({"user_id": "u9", "question": None})

    path = await _written(tmp_path, format, rows, ["user_id"])

    found = [row async for page in read_file(path, COLUMNS, format) for row in page]
    empty = dict.fromkeys(COLUMNS)
    assert found == [{**empty, **row} for row in rows]


@pytest.mark.parametrize("format", list(FileFormat))
async def test_rows_are_in_the_order_asked_for_and_only_some_can_be_read(
    tmp_path: Path,
    format: FileFormat,  # noqa: A002
) -> None:
    rows: list[dict[str, object]] = [{"user_id": f"u{n % 500:03}", "count": n} for n in reversed(range(3000))]

    path = await _written(tmp_path, format, rows, ["user_id", "count"])

    found = [
        (row["user_id"], row["count"]) async for page in read_file(path, COLUMNS, format) for row in page
    ]
    assert found == sorted((f"u{n % 500:03}", n) for n in range(3000))
    some = [
        (row["user_id"], row["count"])
        async for page in read_file(path, COLUMNS, format, only=Only("user_id", ["u007", "u499", "nobody"]))
        for row in page
    ]
    assert some == [(f"u{of:03}", of + 500 * n) for of in (7, 499) for n in range(6)]
