"""Small files that others read while they are replaced: static answers for an edge to serve, which need not be the same
user. So everybody on the machine may read them, whatever the process's umask is."""

import asyncio
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote

LONGEST_NAME = 160
"""The most bytes of a name that is made from an id. File systems take more, and a suffix."""
_KEPT = 100
_FILE, _FOLDER = 0o644, 0o755


class Files:
    """Files under one directory, by names such as ``groups/<id>.json`` whose parts ``safe_name`` made."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, name: str, content: bytes) -> bool:
        """Writes a file, whole or not at all. Returns False where the file has this content already: then it is left as
        it is."""
        return await asyncio.to_thread(self._write, name, content)

    async def remove(self, name: str) -> bool:
        """Removes a file. Returns whether there was one."""
        return await asyncio.to_thread(self._remove, name)

    async def count(self, folder: str) -> int:
        """Yields the files below a folder, at any depth."""
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
        with suppress(OSError):  # others are in it
            if path.parent != self._root:
                path.parent.rmdir()
        return True


def safe_name(id_: str) -> str:
    """Returns one part of a path for an id, and different parts for different ids. What names or URLs do not take is
    percent-encoded. A part that would be too long is cut, and ends with a hash of the whole."""
    name = quote(id_, safe=":").replace("~", "%7E")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_KEPT]}~{blake2b(id_.encode(), digest_size=16).hexdigest()}"
