"""What is kept of a published node beside its tree."""

from typing import Any

import orjson

from rules.contents import LARGEST_METADATA, metadata_of


def test_a_node_is_kept_without_its_children() -> None:
    node = {
        "identifier": "unit",
        "name": "Unit",
        "trackable": {"enabled": "No"},
        "children": [{"identifier": "a"}],
    }
    assert metadata_of(node) == {"identifier": "unit", "name": "Unit", "trackable": {"enabled": "No"}}


def test_of_more_than_fits_the_largest_values_are_left_out() -> None:
    """30 KB and 20 KB beside little: without the larger one it fits."""
    node: dict[str, Any] = {
        "identifier": "course",
        "leafNodes": ["x" * 1000] * 30,
        "body": "y" * 20_000,
        "appIcon": "icon.png",
    }
    kept = metadata_of(node)
    assert kept == {name: value for name, value in node.items() if name != "leafNodes"}
    assert len(orjson.dumps(dict(kept))) <= LARGEST_METADATA
    assert metadata_of({**node, "more": "z" * 40_000}) == kept
