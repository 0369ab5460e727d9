"""A backup of the embedded stores, taken while others write: rows, log and files in one folder (D-BACKUP).

The log is copied first, then the rows, then the blobs. So whatever was acknowledged before the backup began is in it: a command
is in the rows when it is acknowledged, and a submission in the log until its rows are written. What the copy of the log lacks of
the rows, a later comparison (``cohort reconcile --states``) sends again. Group figures and the search indexes are left out: all of
them follow from the rows.
"""

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import orjson

from rules.errors import Conflict, InvalidInput, StoreUnavailable
from stores.log_file import LogFile
from stores.log_members import forget_members
from stores.private import PRIVATE, private_file, private_folder
from stores.urls import embedded_path, is_embedded, learner_index_path

FORM = 1
"""Of the manifest. A backup of another form is refused."""
MANIFEST = "backup.json"
"""The last file that is written: a folder without it is no whole backup."""
COPIED = ("events", "rows", "blobs")
"""The stores that are copied, in order."""
DERIVED = ("groups", "search")
"""The stores that are filled anew from the rows."""
CHUNK = 1 << 20
"""Bytes that are copied at a time."""


class Copied(TypedDict):
    """A file of a backup: its length in bytes, and its SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


class Manifest(TypedDict):
    """What a backup says of itself. ``began``: ISO 8601, UTC. ``schema``: the version of the rows. ``files``: by the path in the
    backup, such as ``rows/rows.db``."""

    form: int
    began: str
    prefix: str
    schema: int
    stores: list[str]
    files: dict[str, Copied]


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """Where an instance's embedded stores have their files. ``urls``: by kind of store."""

    urls: Mapping[str, str]
    prefix: str
    data: Path

    @property
    def copied(self) -> list[str]:
        """The embedded stores that a backup has, in order."""
        return [kind for kind in COPIED if is_embedded(self.urls[kind])]

    @property
    def elsewhere(self) -> list[str]:
        """The stores on servers, which have backups of their own."""
        return [kind for kind in COPIED if not is_embedded(self.urls[kind])]

    def path(self, kind: str) -> Path:
        """The file of the store; of the blobs the folder with those of this instance."""
        path = self.data / embedded_path(kind, self.urls[kind])
        return path / self.prefix if kind == "blobs" else path

    def there(self) -> list[Path]:
        """Files and folders of embedded stores that are there, the derived ones too."""
        found = [self.path(kind) for kind in (*COPIED, *DERIVED) if is_embedded(self.urls[kind])]
        if is_embedded(self.urls["search"]):
            found.append(learner_index_path(self.path("search")))
        return [path for path in found if path.is_file() or (path.is_dir() and any(path.iterdir()))]


async def back_up(files: EmbeddedFiles, folder: Path, *, began: str, schema: int) -> Manifest:
    """Copies the embedded stores into the folder, which is made. InvalidInput where there is something in it already, or no store
    is embedded. StoreUnavailable where a file can't be read or written."""
    if not files.copied:
        raise InvalidInput("no store is in files: back up the servers, as docs/backup.md says", field="rows")
    manifest = Manifest(
        form=FORM, began=began, prefix=files.prefix, schema=schema, stores=files.copied, files={}
    )
    with _errors():
        await asyncio.to_thread(_make, folder)
        for kind in files.copied:
            async for name, copied in _copies(files, kind, folder):
                manifest["files"][name] = copied
        await asyncio.to_thread(_write_manifest, folder, manifest)
    return manifest


async def restore(files: EmbeddedFiles, folder: Path, *, known: int) -> Manifest:
    """Copies a backup to where the stores are, and leaves nothing there if it fails.

    ``known``: the schema version of this program. Conflict where a file of a store is there already. InvalidInput if the folder has
    no whole backup, a file of it is damaged, or it is of another prefix, of other stores, or of a newer schema.
    """
    manifest = await asyncio.to_thread(_read_manifest, folder)
    _check(files, folder, manifest, known)
    if there := files.there():
        raise Conflict(f"{there[0]} is there: move it away, a backup replaces nothing", field="data")
    done: list[Path] = []
    with _errors():
        try:
            for name, copied in manifest["files"].items():
                target = _target(files, name)
                await asyncio.to_thread(private_folder, target.parent)
                done.append(target)
                if await asyncio.to_thread(_copy, folder / name, target) != copied:
                    raise InvalidInput(f"{folder / name} is damaged: its checksum is another", field="folder")
            if "events" in manifest["stores"]:
                await asyncio.to_thread(_forget_members, files)
        except BaseException:
            for path in done:
                path.unlink(missing_ok=True)
            raise
    return manifest


def _make(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} is not empty: name a new folder", field="folder")
    private_folder(folder)


async def _copies(files: EmbeddedFiles, kind: str, folder: Path) -> AsyncIterator[tuple[str, Copied]]:
    """Copies each file of the store. Gives its name in the backup."""
    path = files.path(kind)
    if kind != "blobs":
        name = f"{kind}/{path.name}"
        await asyncio.to_thread(private_folder, folder / kind)
        await _copy_database(path, folder / name)
        yield name, await asyncio.to_thread(_noted, folder / name)
        return
    for blob in await asyncio.to_thread(lambda: sorted(one for one in path.rglob("*") if one.is_file())):
        name = f"{kind}/{blob.relative_to(path).as_posix()}"
        await asyncio.to_thread(private_folder, (folder / name).parent)
        try:
            yield name, await asyncio.to_thread(_copy, blob, folder / name)
        except FileNotFoundError:
            continue  # it was deleted meanwhile


async def _copy_database(path: Path, target: Path) -> None:
    """Copies a SQLite file as it is at one moment, without bytes of what was deleted. Writers go on meanwhile."""
    database = await asyncio.to_thread(_opened, path, target)
    try:
        work = asyncio.ensure_future(
            asyncio.to_thread(lambda: database.execute("VACUUM INTO ?", (str(target),)))
        )
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            database.interrupt()
            await asyncio.wait({work})
            raise
    finally:
        await asyncio.to_thread(database.close)


def _opened(path: Path, target: Path) -> sqlite3.Connection:
    """The file to copy. The target is made, as only its owner may read it. InvalidInput where there is nothing to copy."""
    if not path.exists():
        raise InvalidInput(f"there is no {path}: run cohort init", field="data")
    private_file(target)
    return sqlite3.connect(path, check_same_thread=False)


def _noted(path: Path) -> Copied:
    """The file's length and checksum, once the disk has it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return Copied(bytes=file.tell(), sha256=checksum)


def _copy(source: Path, target: Path) -> Copied:
    """Copies a file to a new one that only its owner may read, and gives what was copied."""
    checksum, size = hashlib.sha256(), 0
    with source.open("rb") as origin, private_file(target).open("wb") as copy:
        while chunk := origin.read(CHUNK):
            copy.write(chunk)
            checksum.update(chunk)
            size += len(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return Copied(bytes=size, sha256=checksum.hexdigest())


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    part = folder / f"{MANIFEST}.part"
    with private_file(part).open("wb") as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / MANIFEST)


def _read_manifest(folder: Path) -> Manifest:
    try:
        manifest: Manifest = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise InvalidInput(
            f"{folder} has no whole backup: {MANIFEST} can't be read", field="folder"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise InvalidInput(f"{folder} is a backup of another form than {FORM}", field="folder")
    return manifest


def _check(files: EmbeddedFiles, folder: Path, manifest: Manifest, known: int) -> None:
    if manifest["prefix"] != files.prefix:
        raise InvalidInput(
            f"{folder} is of the prefix {manifest['prefix']}, and {files.prefix} is set", field="prefix"
        )
    if manifest["stores"] != files.copied:
        theirs, ours = ", ".join(manifest["stores"]), ", ".join(files.copied) or "none"
        raise InvalidInput(f"{folder} has {theirs}, and {ours} of these are in files here", field="rows")
    if manifest["schema"] > known:
        raise InvalidInput(
            f"{folder} is of schema version {manifest['schema']}, and this program knows {known}; run a newer Cohort",
            field="schema_version",
        )


def _target(files: EmbeddedFiles, name: str) -> Path:
    """Where a file of a backup belongs. InvalidInput where its name leads elsewhere."""
    kind, _, rest = name.partition("/")
    path = files.path(kind) if kind in files.copied else None
    if path is not None and kind != "blobs":
        return path
    if path is not None and rest and not {"", ".", ".."} & set(rest.split("/")):
        return path / rest
    raise InvalidInput(f"{MANIFEST} names {name}, which is of no store", field="folder")


def _forget_members(files: EmbeddedFiles) -> None:
    """No process of then is there any more, and the file of group figures begins anew."""
    log = LogFile(files.path("events"), files.prefix)
    log.connect()
    try:
        forget_members(log)
    finally:
        log.disconnect()
    files.path("events").chmod(PRIVATE)


@contextmanager
def _errors() -> Iterator[None]:
    """Turns errors of the system and of SQLite into StoreUnavailable."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable("a file of the backup can't be read or written", detail=str(error)) from error
