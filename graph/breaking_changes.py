"""What would break the clients of the last release: the schema as it is now against graph/released.graphql.

A change that is meant is listed in graph/breaking_changes.toml with its reason, until the next release (`cohort schema
--release`) makes the new schema what clients may rely on.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from graphql import build_schema, find_breaking_changes

MEANT = Path(__file__).with_name("breaking_changes.toml")


def breaking_changes(released: str, current: str) -> Sequence[str]:
    """What clients of ``released`` would notice of ``current``, a sentence each. Both are printed schemas."""
    return [
        change.description for change in find_breaking_changes(build_schema(released), build_schema(current))
    ]


def meant_changes(toml: str) -> Mapping[str, str]:
    """The changes that are meant, each with its reason. ValueError where one has none."""
    meant = {}
    for change in tomllib.loads(toml).get("change", []):
        if not change.get("reason", "").strip():
            raise ValueError(f"{change.get('what')!r} needs a reason")
        meant[change["what"]] = change["reason"]
    return meant
