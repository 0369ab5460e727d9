"""Edits of a large collection: ``python -m bench.editing [real|embedded]``.

400 units and 3,600 leaves, published without a draft. Milliseconds of the first edit, of further ones, and of the tree as
authors read it.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from bench.timing import timed_once
from ingest.commands.drafts import NewContent, create_content
from ingest.commands.hierarchy_edits import add_children, remove_children, reorder_children, update_relation
from resolvers.drafts import edit_tree
from rules.hierarchy import COLLECTION_MIME_TYPE, Json
from tests.conftest import LEAF, Instance, embedded_urls, instance_of, real_urls

CHAPTERS, SECTIONS, LEAVES = 40, 9, 10
TIMES = 10


def node(identifier: str, *children: Json, mime_type: str = COLLECTION_MIME_TYPE) -> Json:
    described = {
        "identifier": identifier,
        "name": f"Node {identifier}",
        "mimeType": mime_type,
        "description": "d" * 300,
    }
    return {
        **described,
        "visibility": "Default" if mime_type == LEAF else "Parent",
        **({"children": list(children)} if children else {}),
    }


def textbook() -> Json:
    return node(
        "book",
        *(
            node(
                f"chapter-{chapter}",
                *(
                    node(
                        f"section-{chapter}-{section}",
                        *(node(f"leaf-{chapter}-{section}-{n}", mime_type=LEAF) for n in range(LEAVES)),
                    )
                    for section in range(SECTIONS)
                ),
            )
            for chapter in range(CHAPTERS)
        ),
    )


async def measure(instance: Instance) -> None:
    session = instance.session()
    await instance.publish(textbook())
    new = [(await create_content(session, NewContent("New", LEAF))).identifier for _ in range(TIMES + 1)]
    sections = [f"section-0-{section}" for section in range(SECTIONS)]

    async def told(what: str, calls: list[Callable[[], Awaitable[object]]]) -> None:
        with instance.stores.rows.meter.measure() as statements:
            times = sorted([(await timed_once(call))[0] for call in calls])
        each = sum(statements.values()) / len(calls)
        print(f"{what}: {times[len(times) // 2]:.0f} ms, {each:.0f} statements")

    first, *others = new
    await told("first edit", [partial(add_children, session, "book", "chapter-0", [first])])
    await remove_children(session, "book", "chapter-0", [first])
    await told("add", [partial(add_children, session, "book", "section-1-0", [leaf]) for leaf in others])
    orders = [sections[turn:] + sections[:turn] for turn in range(1, SECTIONS)]
    await told(
        "reorder",
        [partial(reorder_children, session, "book", "chapter-0", order) for order in orders],
    )
    await told(
        "relation",
        [
            partial(update_relation, session, "book", "section-0-0", "leaf-0-0-0", {"relName": f"Name {n}"})
            for n in range(TIMES)
        ],
    )
    await told("tree as authors read it", [partial(edit_tree, session, "book") for _ in range(TIMES)])


async def main(urls: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with instance_of(urls, Path(folder)) as instance:
            await measure(instance)


if __name__ == "__main__":
    asyncio.run(main(embedded_urls() if "embedded" in sys.argv else real_urls()))
