"""Parts of answers that are kept as they were written down, JSON and all (loaders/pages.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Written:
    """What a resolver gives in place of a value that was written down before, for the same selection of fields."""

    text: bytes

    @property
    def fragment(self) -> orjson.Fragment:
        return orjson.Fragment(self.text)


@dataclass(frozen=True, slots=True)
class ToWrite:
    """What a resolver gives in place of ``value`` where ``keep`` is to be told how that was written down."""

    value: Any
    keep: Callable[[bytes], None]

    def written(self, completed: Any) -> orjson.Fragment:
        text = orjson.dumps(completed)
        self.keep(text)
        return orjson.Fragment(text)
