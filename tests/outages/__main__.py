"""``python -m tests.outages --write`` writes docs/outages.md anew, from what the real servers do. Without ``--write`` it is printed."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.outages.comparison import cell
from tests.outages.page import PAGE, written
from tests.outages.proxies import STORES, Fault
from tests.outages.questions import LINES
from tests.outages.recount import missing
from tests.outages.watching import outages

PATIENT = 2
"""How much more time there is than where a test looks: what a busy machine is late with looks like an outage."""


async def seen() -> tuple[str, bool]:
    """The page, and whether nothing happened that must not; what did is printed."""
    cells: dict[tuple[str, Fault, str], str] = {}
    acknowledged, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with outages(Path(folder)) as instance:
            for store in STORES:
                for fault in Fault:
                    began = time.monotonic()
                    found = await instance.watch(store, fault, factor=PATIENT)
                    acknowledged += found.acknowledged
                    wrong += [f"{store} {fault.named}: {each}" for each in found.wrong]
                    cells |= {(store, fault, line): cell(found.outcomes[line]) for line in LINES}
                    print(f"{store} {fault.named}: {time.monotonic() - began:.1f} s", file=sys.stderr)
            wrong += await missing(instance.instance, acknowledged)
    print(*wrong, sep="\n", file=sys.stderr)
    return written(cells), not wrong


if __name__ == "__main__":
    page, is_well = asyncio.run(seen())
    if "--write" in sys.argv:
        PAGE.write_text(page)
    else:
        print(page)
    sys.exit(not is_well)
