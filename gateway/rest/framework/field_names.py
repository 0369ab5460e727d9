"""Names of the fields that calls send: which are understood, in any case, and which are refused.

Names are compared without case: the viewer's documents write ids in lowercase (``userid``, ``collectionid``), the
platform's clients do not. An unknown name is ignored, unless the call could mean something else without it: if
``collection_id`` were ignored, a view would be stored as one of the content by itself.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic_core import PydanticCustomError

NOT_KNOWN = "not_known"
"""The type of pydantic's error. Its context has the ``name`` and what is ``told`` of it."""
CLOSE = 0.86
"""How similar, by difflib's ratio, an unknown name must be to a known one to be taken for it: ``progresDetails`` is,
``lastUpdatedTime`` is not taken for ``lastAccessTime``, nor ``contentVersion`` for ``contentId``."""
BLANK = r"\s*([nN][uU][lL][lL])?\s*"
"""Matches what devices send as a time that they do not know."""
_ID = re.compile(r"(Id|ID|_id)s?$")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names of one kind of object."""

    by_lowercase: Mapping[str, str]
    """The known names."""
    defaults_ids: bool
    """Whether an id may be left out, so that the call means something else."""
    times: Collection[str]
    """Names of times, which count as left out if they are blank."""
    passed_over: Collection[str]
    """As in RequestModel."""

    @classmethod
    def of(
        cls,
        known: Iterable[str],
        *,
        optional: Iterable[str],
        times: Collection[str],
        passed_over: Collection[str],
    ) -> "FieldNames":
        by_lowercase = {name.lower(): name for name in known}
        return cls(by_lowercase, any(_ID.search(name) for name in optional), times, passed_over)

    def understood(self, values: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """The values by known names; unknown names stay as they are.

        A name that is given twice, in two spellings, must have one value. ``strict``: PydanticCustomError for an unknown
        name that may be meant for a known one.
        """
        found: dict[str, Any] = {}
        for name, value in values.items():
            known = self.by_lowercase.get(name.lower())
            if known is None:
                known = name
                if strict:
                    self._check_not_meant(name)
            if known in found and found[known] != value:
                raise _not_known(name, f"is {known}, which is given with another value")
            if known not in self.times or not _is_blank(value):
                found[known] = value
        return found

    def _check_not_meant(self, name: str) -> None:
        if name in self.passed_over:
            return
        close = get_close_matches(name.lower(), self.by_lowercase, n=1, cutoff=CLOSE)
        if close:
            raise _not_known(name, f"is not known here; is {self.by_lowercase[close[0]]} meant?")
        if self.defaults_ids and _ID.search(name):
            ids = ", ".join(known for known in self.by_lowercase.values() if _ID.search(known))
            raise _not_known(name, f"is not known here; there are {ids}")


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(BLANK, value) is not None


def _not_known(name: str, told: str) -> PydanticCustomError:
    return PydanticCustomError(NOT_KNOWN, "{name} {told}", {"name": name, "told": told})
