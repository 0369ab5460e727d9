"""How an answer becomes JSON: large values that are JSON already are sent as they are, and nobody copies or reads them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson


@dataclass(frozen=True, slots=True, eq=False)
class SentAsIs:
    """A value that is JSON already. ``tag`` tells it from every other."""

    data: bytes
    tag: str


class Encoded(NamedTuple):
    """``parts``: the JSON, in order. ``tag_of``: JSON that differs whenever the parts do, with the tags of values instead of
    them."""

    parts: Sequence[bytes]
    tag_of: bytes


def encode(answer: object) -> Encoded:
    """Returns the JSON of an answer, in which values may be SentAsIs."""
    values: list[SentAsIs] = []
    mark = ""

    def marked(value: object) -> str:
        nonlocal mark
        if not isinstance(value, SentAsIs):
            raise TypeError
        values.append(value)
        mark = mark or secrets.token_hex(16)  # no text that anybody sent is the same
        return mark

    text = orjson.dumps(answer, default=marked, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    if not values:
        return Encoded([text], text)
    first, *others = text.split(orjson.dumps(mark))
    parts, tag_of = [first], [first]
    for value, after in zip(values, others, strict=True):
        parts += [value.data, after]
        tag_of += [orjson.dumps(value.tag), after]
    return Encoded(parts, b"".join(tag_of))
