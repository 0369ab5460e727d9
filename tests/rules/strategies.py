"""Trees and histories that Hypothesis makes."""

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

LEAVES = [f"leaf-{number}" for number in range(6)]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Json:
    """A collection whose leaves may stand in several units; each unit stands in one place."""
    counter = iter(range(1000))

    def node(level: int) -> Json:
        identifier = f"unit-{next(counter)}"
        children: list[Json] = [
            {"identifier": leaf, "name": leaf, **optional_mark(draw)}
            for leaf in draw(st.lists(st.sampled_from(LEAVES), unique=True, max_size=3))
        ]
        if level < depth:
            children += [{**node(level + 1), **optional_mark(draw)} for _ in range(draw(st.integers(0, 2)))]
        return {
            "identifier": identifier,
            "name": identifier,
            "mimeType": "application/vnd.ekstep.content-collection",
            "children": draw(st.permutations(children)),
            # What the platform trusts and Cohort must not.
            "leafNodes": ["somebody-elses"],
            "leafNodesCount": 99,
        }

    return node(0)


def optional_mark(draw: st.DrawFn) -> Json:
    marks: list[Json] = [
        {},
        {"relationalMetadata": {"optional": True}},
        {"relationalMetadata": {"optional": "true"}},
        {"relationalMetadata": {"optional": False}},
        {"relationalMetadata": None},
    ]
    return draw(st.sampled_from(marks))
