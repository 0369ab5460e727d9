"""Trees as they are published, for Hypothesis: whole, with everything that follows from a place already in them."""

from typing import Any

from hypothesis import strategies as st

from rules.hierarchy import COLLECTION_MIME_TYPE
from tests.conftest import LEAF

Json = dict[str, Any]
LEAVES = [f"leaf-{number}" for number in range(5)]

values = st.one_of(
    st.text(max_size=5), st.integers(-9, 9), st.none(), st.lists(st.text(max_size=3), max_size=2)
)
said = st.dictionaries(st.sampled_from(["subject", "code", "x", "Ü"]), values, max_size=3)
relations: st.SearchStrategy[Json] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"relationalMetadata": st.fixed_dictionaries({"optional": st.booleans()})}),
    st.fixed_dictionaries({"relationalMetadata": st.just({"relName": "r", "keywords": ["k"]})}),
    st.fixed_dictionaries({"optional": st.booleans()}),
)


@st.composite
def published_trees(draw: st.DrawFn, levels: int = 3) -> Json:
    """Units stand in one place, their keys in any order. Leaves stand in any places. What a leaf says of itself in one
    of them comes last, as it must where another place has none of it."""
    leaves = {
        leaf: draw(
            st.permutations([*{"identifier": leaf, "name": leaf, "mimeType": LEAF, **draw(said)}.items()])
        )
        for leaf in LEAVES
    }
    orders = {leaf: draw(st.permutations(["", "parent", "index", "depth"])) for leaf in LEAVES}
    counter = iter(range(1000))

    def leaf_node(leaf: str, place: Json) -> Json:
        made: Json = {}
        for key in orders[leaf]:
            made |= dict(leaves[leaf]) if key == "" else {key: place[key]}
        return made | draw(relations)

    def unit(place: Json) -> Json:
        number = next(counter)
        identifier = f"unit-{number}" if place["depth"] else "root"
        below: list[Any] = draw(st.lists(st.sampled_from(LEAVES), unique=True, max_size=3))
        if place["depth"] < levels:
            below += [None] * draw(st.integers(0, 2))
        below = draw(st.permutations(below))
        children: list[Json] = []
        for index, leaf in enumerate(below, 1):
            at = {"parent": identifier, "index": index, "depth": place["depth"] + 1}
            children.append(leaf_node(leaf, at) if leaf else unit(at))
        of_the_root = {"index": 0, "depth": 0}
        node: Json = {
            "identifier": identifier,
            "name": identifier,
            "mimeType": COLLECTION_MIME_TYPE,
            **draw(said),
        }
        node |= {**place, **draw(relations), "visibility": "Parent"} if place["depth"] else of_the_root
        node["children"] = children
        return dict(draw(st.permutations([*node.items()])))

    return unit({"depth": 0})
