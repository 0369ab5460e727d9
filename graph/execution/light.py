"""Light members: what a long list has in place of the objects of a GraphQL type, because it is there anyway, such as a tuple of
a row's values or an object that the process keeps.

A light class says which attributes it has that are those of the whole object. Compiled code reads these from it
(graph/execution/projection.py); where anything else is asked for, and wherever the executor goes field by field, the whole object is made
first. So a field that is new to a type is answered before any light class has it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resolvers.nouns import Session

T = TypeVar("T")

_LIGHT: dict[type, dict[type, "Light"]] = {}
"""By the class of the whole objects."""
_CLASSES: set[type] = set()


@dataclass(frozen=True, slots=True)
class Light:
    """``attributes``: those that say the same of it as of the whole object, which ``whole`` makes of it; and fields of the type
    that are read ``at_hand`` (graph/fields.py), from it as well."""

    attributes: frozenset[str]
    whole: Callable[[Any, Session], Any]


def stands_for(
    of: type, light: type, attributes: Iterable[str], whole: Callable[[Any, Session], Any]
) -> None:
    """Has members of class ``light`` stand for objects of class ``of``."""
    _LIGHT.setdefault(of, {})[light] = Light(frozenset(attributes), whole)
    _CLASSES.add(light)


class ByClass(Generic[T]):
    """What is read of whole objects in one way, and of light ones as each class says."""

    def __init__(self, of_whole: Callable[[Any], T]) -> None:
        self._of_whole = of_whole
        self._of_light: dict[type, Callable[[Any], T]] = {}

    def of(self, light: type, read: Callable[[Any], T]) -> None:
        """Has ``read`` read it of members of class ``light``."""
        self._of_light[light] = read

    def __call__(self, value: Any) -> T:
        return self._of_light.get(value.__class__, self._of_whole)(value)


def is_light(value: object) -> bool:
    return value.__class__ in _CLASSES


def lights_of(classes: Iterable[type]) -> Mapping[type, Light]:
    """What stands for objects of these classes."""
    return {light: how for of in classes for light, how in _LIGHT.get(of, {}).items()}
