"""Files of the embedded engines are their owner's alone, whatever the process's umask is."""

from pathlib import Path

PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


def private_file(path: Path) -> Path:
    """Makes an empty file where there is none. A file that is there keeps its permissions."""
    path.touch(PRIVATE, exist_ok=True)
    return path


def private_folder(path: Path) -> Path:
    """Makes a folder, and all that it is in. A folder that is there keeps its permissions."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(_PRIVATE_FOLDER, exist_ok=True)
    return path
