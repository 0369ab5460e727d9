"""A Cassandra of one node that belongs to whoever starts it: it can be backed up, measured and lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stack.jars import java
from stack.servers import Place, cassandra
from stack.stack import Stack
from tests.stack.small import free_port

SOFTWARE = Path(os.environ.get("COHORT_STACK_DIR", ".stack")).absolute()
"""Where the jars are; read before a fixture forgets every variable."""
HOST = "127.0.9.1"
KEYSPACE = "of_its_own"
SNAPSHOT = "nightly"


class CassandraNode:
    """A server of one node, which can be lost, and its nodetool."""

    def __init__(self, folder: Path) -> None:
        self._port = str(free_port())
        server = cassandra(Place(hosts=(HOST,)))

        def with_jmx(home: Path) -> list[str]:
            program, *rest = server.command(home)
            return [program, f"-Dcassandra.jmx.local.port={self._port}", *rest]

        self._folder = folder
        self._opened = [word for word in server.command(folder) if word.startswith("--add-")]
        self._stack = Stack(folder, servers=[replace(server, command=with_jmx)], software=SOFTWARE)
        self.url = f"cassandra://cohort:cohort@{HOST}:9042/{KEYSPACE}"

    def up(self) -> None:
        self._stack.up()

    def lose(self) -> None:
        """As a disk that breaks: nothing is left of it."""
        self._stack.stop("cassandra", kill=True)
        shutil.rmtree(self._folder)

    def bytes_of(self, table: str) -> int:
        """What the table takes on disk, once it was flushed."""
        files = self._folder.glob(f"**/data/{KEYSPACE}/{table}-*/*")
        return sum(file.stat().st_size for file in files if file.is_file())

    def tables(self) -> list[str]:
        """Of the keyspace, as its folders say."""
        return sorted(path.name.rpartition("-")[0] for path in self._folder.glob(f"**/data/{KEYSPACE}/*"))

    def nodetool(self, *words: str) -> str:
        libraries = f"{SOFTWARE}/cassandra/lib/*"
        command = [
            java(),
            *self._opened,
            "-cp",
            libraries,
            "org.apache.cassandra.tools.NodeTool",
            "-p",
            self._port,
            *words,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def back_up(self, folder: Path) -> None:
        """The files of a snapshot, a folder for each table."""
        self.nodetool("snapshot", "-t", SNAPSHOT, KEYSPACE)
        for taken in self._folder.glob(f"**/{KEYSPACE}/*/snapshots/{SNAPSHOT}"):
            shutil.copytree(taken, folder / taken.parent.parent.name.rpartition("-")[0])

    def restore(self, folder: Path) -> None:
        """Into the tables that ``cohort init`` has made."""
        for table in sorted(folder.iterdir()):
            if any(table.glob("*-Data.db")):
                self.nodetool("import", "--copy-data", KEYSPACE, table.name, str(table))


@contextmanager
def cassandra_of_its_own(folder: Path) -> Iterator[CassandraNode]:
    server = CassandraNode(folder)
    server.up()
    try:
        yield server
    finally:
        server.lose()
