"""Files of the embedded engines are their owner's alone, whatever the process's umask is."""

from pathlib import Path

PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


def private_file(path: Path) -> Path:
    """There is one: an empty one where there was none. One that was there keeps what it allows."""
    path.touch(PRIVATE, exist_ok=True)
    return path


def private_folder(path: Path) -> Path:
    """There is one, with all that it is in; what was there keeps what it allows."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(_PRIVATE_FOLDER, exist_ok=True)
    return path
