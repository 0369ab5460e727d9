"""The sixty learners of the sample, with their profiles. What they are like follows from ids alone."""

from collections.abc import Sequence
from zlib import crc32

from rules.learners import Learner

_FIRST_NAMES = (
    "Ada",
    "Bola",
    "Chen",
    "Dora",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ivo",
    "Jaya",
    "Kofi",
    "Lena",
)
_LAST_NAMES = ("Okafor", "Lindqvist", "Rao", "Moreno", "Tanaka")
_VALUES: dict[str, Sequence[str]] = {
    "state": ("Northshire", "Eastmark", "Southvale"),
    "district": ("Alder", "Birch", "Cedar", "Damson", "Elm"),
    "block": ("1", "2", "3", "4"),
    "school": ("Hill School", "Lake School", "Mill School", "Bridge School"),
    "type": ("student", "student", "student", "teacher"),
    "gender": ("F", "M", "F", "M", "X"),
    "region": ("North", "East", "South"),
    "education": ("Primary", "Secondary", "Higher"),
    "age_band": ("0-35", "35-55", "55<="),
    "deprivation_band": ("0-20%", "20-40%", "40-60%", "60-80%", "80-100%"),
}


def sample_learners(first_learner: str) -> list[Learner]:
    """Returns sixty learners, the first one first."""
    names = [(first, last) for last in _LAST_NAMES for first in _FIRST_NAMES]
    ids = [first_learner, *(f"{first}-{last}".lower() for first, last in names[1:])]
    return [
        Learner(
            user_id,
            f"{first} {last}",
            {name: values[number_of(user_id, name) % len(values)] for name, values in _VALUES.items()},
        )
        for user_id, (first, last) in zip(ids, names, strict=True)
    ]


def number_of(*parts: str) -> int:
    """Returns the same number for the same ids on every machine."""
    return crc32("/".join(parts).encode())
