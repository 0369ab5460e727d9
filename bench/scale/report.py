"""The tables of docs/scale.md: ``python -m bench scale`` prints them, ``--write`` puts them into the page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.scale.lag import lag_of, partitions_for
from bench.scale.limits import MOST, limits
from bench.scale.load import OULAD_LEARNERS, Load
from bench.scale.machines import (
    dollars_a_learner,
    machines_of,
    rewritten,
    rows_bytes,
    statements,
    written,
)
from bench.scale.partitions import partitions_of
from bench.scale.units import size

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
STEPS = (1.0, 100.0, 1_000.0, 100_000_000 / OULAD_LEARNERS)
"""Times OULAD; the last is a hundred million learners with ten billion views a year."""
Cells = Sequence[str]


def main(*arguments: str) -> None:
    tables = printed()
    if "--write" in arguments:
        PAGE.write_text(with_tables(PAGE.read_text(), tables))
    else:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in tables.items()))


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between the comments that bear its name."""
    for name, table in tables.items():
        found = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        page = found.sub(lambda match, table=table: match[1] + table + match[2], page)  # type: ignore[misc]
    return page


def printed() -> dict[str, str]:
    """Each table as Markdown, by its name."""
    loads = [Load(factor) for factor in STEPS]
    named = [f"{load.factor:,.0f} ×" for load in loads]
    made = {
        "load": (("of a year, or a second of the peak", *named), _load(loads)),
        "machines": (("system: nodes × cores", *named), _machines(loads)),
        "partitions": (("table, a partition of", *named), _partitions(loads)),
        "lag": (("workers", *named), _lag(loads)),
        "limits": (("what", "holds up to", "learners", "then"), _limits()),
        "compaction": (("MB a second, in the peak", *named), _compaction(loads)),
    }
    return {name: _markdown(head, [*rows]) for name, (head, rows) in made.items()}


def _markdown(head: Cells, rows: Sequence[Cells]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _load(loads: Sequence[Load]) -> Iterator[Cells]:
    rows = {
        "learners": [load.learners for load in loads],
        "enrolments": [load.enrolments for load in loads],
        "views": [load.views for load in loads],
        "courses": [load.courses for load in loads],
        "learners of the largest course": [load.largest_course() for load in loads],
        "calls a second": [sum(load.peak().values()) for load in loads],
        "triggers a second": [sum(c.triggers * n for c, n in load.peak().items()) for load in loads],
        "statements to Cassandra a second": [sum(statements(load).values()) for load in loads],
        "of these conditional": [statements(load)["conditional"] for load in loads],
        "learners at work within 15 minutes": [load.active_at_once() for load in loads],
        "GB of rows, one copy, three years": [rows_bytes(load) / 1e9 for load in loads],
    }
    for what, values in rows.items():
        yield what, *map(_number, values)


def _machines(loads: Sequence[Load]) -> Iterator[Cells]:
    for of_each in zip(*map(machines_of, loads), strict=True):
        cells = [f"{one.nodes} × {one.cores}, {one.memory} GB: {one.because}" for one in of_each]
        yield of_each[0].system, *cells
    yield "dollars a learner and year", *(f"{dollars_a_learner(load):.3f}" for load in loads)


def _partitions(loads: Sequence[Load]) -> Iterator[Cells]:
    for of_each in zip(*map(partitions_of, loads), strict=True):
        cells = [f"{size(p.middle)}, {size(p.thousandth)}, {size(p.largest)}" for p in of_each]
        yield f"`{of_each[0].table}`, {of_each[0].key}", *cells


def _lag(loads: Sequence[Load]) -> Iterator[Cells]:
    for what, partitions in (("4 partitions", lambda _: 4), ("as many as it takes", partitions_for)):
        counts = [partitions(load) for load in loads]
        found = [lag_of(load, count) for load, count in zip(loads, counts, strict=True)]
        yield (
            what,
            *(
                f"{count}: {lag.most:,.0f} wait, {lag.seconds:,.0f} s late, {lag.busy:.0%} busy"
                for count, lag in zip(counts, found, strict=True)
            ),
        )


def _limits() -> Iterator[Cells]:
    for limit in limits():
        if limit.holds < MOST:
            yield limit.what, f"{limit.holds:,.0f} ×", _number(limit.holds * OULAD_LEARNERS), limit.then


def _compaction(loads: Sequence[Load]) -> Iterator[Cells]:
    yield "written, all nodes", *(_number(written(load) / 1e6) for load in loads)
    yield "with what compaction writes again, a node", *(_number(rewritten(load) / 1e6) for load in loads)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
