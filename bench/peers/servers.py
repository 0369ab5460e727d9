"""The servers that are compared, each a process that listens on a port of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.client import KEY
from bench.servers import BIN, until_ready
from tests.conftest import Instance

NODE = Path(__file__).parent / "node"
PORT = 18_700
COHORT = "Cohort"


@dataclass(frozen=True)
class Peer:
    """``command`` starts it; ``environment`` says where rows are and where it listens."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    path: str = "/graphql"


@dataclass(frozen=True)
class Running:
    """A peer that listens, in the process ``pid``."""

    peer: Peer
    pid: int

    @property
    def name(self) -> str:
        return self.peer.name


def peers_of(cohort: Instance) -> list[Peer]:
    """Cohort first, as answers are compared with its own. It computes every group page anew."""
    rows = cohort.urls["rows"]
    nodes = {name: ["node", str(NODE / f"{name.lower()}.mjs")] for name in ("Mercurius", "Apollo", "Yoga")}
    commands = {**nodes, "Strawberry": [sys.executable, "-m", "bench.peers.stock"]}
    settings = {f"COHORT_{name.upper()}": value for name, value in cohort.urls.items()}
    own = Peer(
        COHORT,
        [str(BIN / "cohort"), "serve"],
        {
            **settings,
            "COHORT_DATA": str(cohort.data),
            "COHORT_JWT_KEY": KEY,
            "COHORT_ANSWERS_TTL": "0",
            "COHORT_PORT": str(PORT),
            "COHORT_RATE_POINTS": "0",
            "COHORT_COMPRESSED_FROM": "0",
            "COHORT_LOG_LEVEL": "error",
        },
        PORT,
    )
    return [
        own,
        *(
            Peer(name, command, {"PEER_ROWS": rows, "PEER_PORT": str(port)}, port)
            for port, (name, command) in enumerate(commands.items(), PORT + 1)
        ),
    ]


@asynccontextmanager
async def running(peer: Peer) -> AsyncIterator[Running]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("COHORT_")}
    environment = {**others, "NODE_ENV": "production", **peer.environment}
    process = await asyncio.create_subprocess_exec(*peer.command, env=environment)
    try:
        await until_ready(peer.port)
        yield Running(peer, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def install() -> None:
    """Installs what the peers in Node need, as locked."""
    if not (NODE / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, check=True)
