"""docs/outages.md: written from what was seen, and read again."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.outages.proxies import STORES, Fault
from tests.outages.questions import LINES, changes_something
from tests.outages.watching import ACKNOWLEDGED, ANSWERS, NOT_DONE, NOT_REACHED

PAGE = Path(__file__).parents[2] / "docs" / "outages.md"
CALLED = {
    "rows": "rows: Cassandra",
    "events": "events: Kafka",
    "cache": "cache: Redis or Valkey",
    "groups": "groups: Druid",
    "blobs": "blobs: an object store",
    "search": "search: OpenSearch",
}
NOTHING = "nothing"
Cells = Mapping[tuple[str, Fault, str], str]
"""By store, what is wrong with it, and line: how the line's question ends."""

INTRODUCTION = f"""\
# Outages

What each field and each call does while a server is away. A test writes this page and fails where Cohort does otherwise:
`python -m tests.outages --write`, `tests/outages/`. It puts a TCP proxy before each real server, has it go wrong in one way,
and asks everything of a process that keeps nothing yet. What happens to nodes of a cluster, and what to do:
[operations.md](operations.md#what-can-go-wrong).

| what is wrong | |
| --- | --- |
{{faults}}

| how it ends | |
| --- | --- |
| answers | as if all were well |
| null | the field is `null`, with an error at its path; what else was asked for is answered |
| acknowledged | the call is done, whatever is away |
| {NOT_DONE} | the payload says `done: false`: the call goes on by itself, or is to be sent again; then it says when it is done |
| refused | of a mutation: an error in its payload. Of REST: status 503 or 504. The same call again, once all is well, is acknowledged |
| … at once | the code is `STORE_UNAVAILABLE`, or the status 503 |
| … by the deadline | the code is `STORE_UNAVAILABLE` or `DEADLINE_EXCEEDED`, or the status 503 or 504: whichever is first, but never later than a second after `request_timeout` |
| {NOT_REACHED} | what is above it is null |
| "a or b" | it depends on what is asked of it: some of it does without that server |

Nothing is ever `INTERNAL_ERROR`, and a call that was acknowledged is never lost: once all is well, every one of them is there
and the figures are those of a recount. A refused call may have been done nevertheless. Sent again, it is acknowledged; `enrol` and
`unenrol` then say `ALREADY_ENROLLED`, `NOT_ENROLLED`. Cohort goes on by itself within seconds of an outage's end. A server that is
slower than the deadline is as a silent one.

A process that has worked for a while does better than this page: it keeps collections, contexts and tokens in memory, and answers
group queries from the cache for `answers_kept` seconds, with their age.
"""


def written(cells: Cells) -> str:
    """The page."""
    faults = "\n".join(f"| {fault.named} | {fault.value.partition(': ')[2]} |" for fault in Fault)
    parts = [INTRODUCTION.replace("{faults}", faults)]
    parts += ["## What needs what", "", "| it needs | what is asked |", "| --- | --- |"]
    needs: dict[tuple[str, ...], list[str]] = {}
    for line in LINES:
        needed = tuple(store for store in STORES if _ends(cells, store, line) != _well(line))
        needs.setdefault(needed, []).append(line)
    ordered = sorted(needs.items(), key=lambda each: [store not in each[0] for store in STORES])
    parts += [f"| {', '.join(needed) or NOTHING} | {_named(lines)} |" for needed, lines in ordered]
    for store in STORES:
        rows: dict[tuple[str, ...], list[str]] = {}
        for line in LINES:
            if (ends := _ends(cells, store, line)) != _well(line):
                rows.setdefault(ends, []).append(line)
        parts += ["", f"## {CALLED[store]}", ""]
        parts.append(f"| what is asked | {' | '.join(fault.named for fault in Fault)} |")
        parts.append("| --- " * (len(Fault) + 1) + "|")
        by_size = sorted(rows.items(), key=lambda row: len(row[1]))
        parts += [f"| {_named(lines)} | {' | '.join(ends)} |" for ends, lines in by_size]
        parts += ["", "All else answers and is acknowledged as if it were there."]
    return "\n".join(parts) + "\n"


def read(text: str) -> dict[tuple[str, Fault, str], str]:
    """The cells of a page: what it says of each line, in *What needs what* and where it needs something."""
    found: dict[tuple[str, Fault, str], str] = {}
    stores = {f"## {called}": store for store, called in CALLED.items()}
    section = ""
    for row in text.splitlines():
        section = row if row.startswith("## ") else section
        cells = row.strip("| ").split(" | ")
        if not section or not row.startswith("| ") or cells[0] in ("what is asked", "it needs", "---"):
            continue
        if section in stores:
            for line in _lines(cells[0]):
                for fault, end in zip(Fault, cells[1:], strict=True):
                    found[stores[section], fault, line] = end
        else:
            for line in _lines(cells[1]):
                well = zip(Fault, _well(line), strict=True)
                found |= {(store, fault, line): end for fault, end in well for store in STORES}
    return found


def _ends(cells: Cells, store: str, line: str) -> tuple[str, ...]:
    return tuple(cells[store, fault, line] for fault in Fault)


def _well(line: str) -> tuple[str, ...]:
    """How it ends where nothing that it needs is away."""
    return (ACKNOWLEDGED if changes_something(line) else ANSWERS,) * len(Fault)


def _named(lines: list[str]) -> str:
    by_kind: dict[str, list[str]] = {}
    for line in lines:
        kind, _, name = line.partition("." if " " not in line else "\n")
        by_kind.setdefault(kind if name else "REST", []).append(name or line)
    return " · ".join(
        f"{kind}: {', '.join(f'`{name}`' for name in names)}" for kind, names in by_kind.items()
    )


def _lines(named: str) -> Iterator[str]:
    for part in named.split(" · "):
        kind, _, names = part.partition(": ")
        for name in names.split(", "):
            yield name.strip("`") if kind == "REST" else f"{kind}.{name.strip('`')}"
