"""One CSV file of the dataset, row by row. If anything is wrong with it, InvalidInput names file and line."""

import csv
import re
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

from rules.errors import InvalidInput

_WHOLE = re.compile(r"-?\d{1,12}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,12}(\.\d{1,12})?", re.ASCII)
_REPLACED = re.compile("[\udc80-\udcff]")


class CsvTable:
    """A CSV file. Columns are found by the header, in any order and beside others. Fields may be quoted or not.

    A byte order mark and either kind of line ending are accepted. ``line`` is the line of the row at hand.
    """

    def __init__(self, directory: Path, name: str, columns: Sequence[str]) -> None:
        self.name = name
        self.path = directory / name
        self.columns = columns
        self.line = 0
        self._place = 0

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @property
    def size(self) -> int:
        """Returns the bytes of the file. Raises InvalidInput if there is no such file."""
        try:
            if self.path.is_file():
                return self.path.stat().st_size
        except OSError as error:
            raise InvalidInput(f"{self.name} can't be read: {error.strerror}", field=self.name) from None
        raise InvalidInput(f"{self.name} is missing from {self.path.parent}", field=self.name)

    @property
    def place(self) -> int:
        """Returns the bytes read so far."""
        return self._place

    def check_header(self) -> None:
        """Checks the header. Reads only the first line."""
        for _ in self.rows():
            return

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Gives the fields of each row in the order of ``columns``. Blank lines are passed over.

        Bytes that are no UTF-8 are kept as lone surrogates. No check lets these through, so their line is known.
        """
        try:
            with self.path.open("rb") as file:
                text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
                reader = csv.reader(text, strict=True)
                self.line = 1
                header = self._header(next(reader, []))
                width = len(header)
                pick = itemgetter(*map(header.index, self.columns))
                for row in reader:
                    self.line = reader.line_num
                    if len(row) != width:
                        if not row:
                            continue
                        self.refuse(f"has {len(row)} fields; the header has {width}")
                    if self.line & 0xFFF == 0:
                        self._place = file.tell()
                    yield pick(row)
                self._place = file.tell()
        except csv.Error as error:
            self.refuse(f"is no CSV: {error}", line=reader.line_num)
        except OSError as error:
            raise InvalidInput(f"{self.name} can't be read: {error.strerror}", field=self.name) from None

    def refuse(self, reason: str, *, line: int | None = None) -> NoReturn:
        """Raises InvalidInput: the row at hand is wrong."""
        raise InvalidInput(f"{self.name} line {line or self.line}: {reason}", field=self.name)

    def whole(self, value: str, column: str, *, least: int, most: int) -> int:
        if not _WHOLE.fullmatch(value):
            self.refuse(f"{column} must be a whole number, not {shown(value)}")
        number = int(value)
        if not least <= number <= most:
            self.refuse(f"{column} must be from {least} to {most}, not {number}")
        return number

    def optional_whole(self, value: str, column: str, *, least: int, most: int) -> int | None:
        """Returns the number, or None if it is blank. Older copies of the dataset write ``?`` for blank."""
        return None if is_blank(value) else self.whole(value, column, least=least, most=most)

    def number(self, value: str, column: str, *, least: float, most: float) -> float:
        """Returns a number that may have decimals."""
        if not _DECIMAL.fullmatch(value):
            self.refuse(f"{column} must be a number, not {shown(value)}")
        number = float(value)
        if not least <= number <= most:
            self.refuse(f"{column} must be from {least:g} to {most:g}, not {value}")
        return number

    def text(self, value: str, column: str, *, longest: int) -> str:
        """Returns a text that may be shown to people. It may be blank."""
        text = "" if is_blank(value) else value
        if not text.isprintable():
            encoding = " in UTF-8" if _REPLACED.search(text) else ""
            self.refuse(f"{column} must be printable text{encoding}, not {shown(text)}")
        if len(text) > longest:
            self.refuse(f"{column} must have at most {longest} characters")
        return text

    def _header(self, found: list[str]) -> list[str]:
        header = [name.strip() for name in found]
        if not header:
            self.refuse("the header is missing")
        if any("\0" in name or _REPLACED.search(name) for name in header):
            self.refuse("the header is no UTF-8 text")
        for name in header:
            if header.count(name) > 1:
                self.refuse(f"column {name} is there twice")
        missing = [name for name in self.columns if name not in header]
        if missing:
            are = "column is" if len(missing) == 1 else "columns are"
            self.refuse(f"the {are} missing: {', '.join(missing)}; there are {', '.join(header)}")
        return header


def is_blank(value: str) -> bool:
    return value in ("", "?")


def shown(value: str) -> str:
    """Returns the value as an error message quotes it."""
    short = value if len(value) <= 40 else value[:40] + "…"
    return ascii(short) if not short.isprintable() else f"'{short}'"
