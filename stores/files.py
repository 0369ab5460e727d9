"""Small files that others read while they are replaced: static answers, which another server at the edge serves.

That server may run as another user. So everybody on the machine may read them, whatever the process's umask is.
"""

import asyncio
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote

LONGEST_NAME = 160
"""Bytes of a name that is made from an id. With a suffix it is well below the limits of file systems."""
_KEPT = 100
"""Bytes that are left of a longer name, before the hash."""
_FILE, _FOLDER = 0o644, 0o755


class Files:
    """Files under one directory. Their names are such as ``groups/<id>.json``; ``safe_name`` makes the parts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, name: str, content: bytes) -> bool:
        """Writes the file whole or not at all. False where it has this content already and stays as it is."""
        return await asyncio.to_thread(self._write, name, content)

    async def remove(self, name: str) -> bool:
        """Removes the file. False where there was none."""
        return await asyncio.to_thread(self._remove, name)

    async def count(self, folder: str) -> int:
        """How many JSON files the folder has, at any depth."""
        return await asyncio.to_thread(
            lambda: sum(path.is_file() for path in (self._root / folder).rglob("*.json"))
        )

    def _write(self, name: str, content: bytes) -> bool:
        path = self._root / name
        with suppress(FileNotFoundError):
            if path.stat().st_size == len(content) and path.read_bytes() == content:
                return False
        for folder in [*reversed(Path(name).parents)]:
            with suppress(FileExistsError):
                (self._root / folder).mkdir(parents=folder == Path())
                (self._root / folder).chmod(_FOLDER)
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            part = Path(file.name)
            try:
                file.write(content)
                file.close()
                part.chmod(_FILE)
                part.replace(path)
            except BaseException:
                part.unlink()
                raise
        return True

    def _remove(self, name: str) -> bool:
        path = self._root / name
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        with suppress(OSError):  # the folder is not empty
            if path.parent != self._root:
                path.parent.rmdir()
        return True


def safe_name(id_: str) -> str:
    """One part of a path for any id; different ids give different parts.

    The id is percent-encoded where names and URLs need it. A part that is too long is cut and ends with a hash.
    """
    name = quote(id_, safe=":").replace("~", "%7E")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_KEPT]}~{blake2b(id_.encode(), digest_size=16).hexdigest()}"
