"""Compares what was seen with what the page says."""

from collections.abc import Iterable

from tests.outages.page import Cells
from tests.outages.proxies import Fault
from tests.outages.questions import LINES
from tests.outages.watching import NOT_DONE, NOT_REACHED, SIDE_BY_SIDE, Outages, Seen

FACTORS = (1, 2, 4, 8)
"""Of the looks at what is otherwise than the page says: each has more time and asks less at a time. A busy machine answers
late what the outage has nothing to do with."""

UNDECIDED = {NOT_DONE, "refused by the deadline"}
"""Either may be told of a call that goes on where it stopped when it is sent again: which one is a race of the store's own limit with
the request's."""


def cell(outcomes: Iterable[str]) -> str:
    """How the questions of one line ended. A field that is not reached in one document is told by another."""
    told = sorted({*outcomes})
    reached = [each for each in told if each != NOT_REACHED]
    return " or ".join(reached) or NOT_REACHED


def _is_same(told: str, said: str | None) -> bool:
    return told == said or {told, said} == UNDECIDED


async def differences(
    outages: Outages, store: str, fault: Fault, page: Cells
) -> tuple[list[str], list[Seen]]:
    """What is otherwise than the page says, and all that was seen."""
    only: frozenset[str] | None = None
    looks: list[Seen] = []
    found: dict[str, str] = {}
    for factor in FACTORS:
        seen = await outages.watch(store, fault, only, factor, SIDE_BY_SIDE // factor)
        looks.append(seen)
        found = {
            line: told
            for line in (LINES if only is None else only)
            if not _is_same(told := cell(seen.outcomes[line]), page.get((store, fault, line)))
        }
        if not found:
            break
        only = frozenset(found)
    differing = [
        f"{store} {fault.named}: {line}: {end}, the page says {page.get((store, fault, line))}"
        for line, end in found.items()
    ]
    return [*differing, *(f"{store} {fault.named}: {each}" for seen in looks for each in seen.wrong)], looks
