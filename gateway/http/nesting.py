"""How deep the JSON of a request may be: what reads it goes down into it, and the stack of Python has an end."""

from typing import Any

DEEPEST = 100
"""Objects and lists within each other. The metadata of a collection may have 64 (rules/content_metadata.py), a few levels down."""
TOO_DEEP = f"JSON may have at most {DEEPEST} objects and lists within each other"


def is_too_deep(document: Any, text: bytes | str) -> bool:
    """Whether the document is deeper. ``text``: what it was read from; most have too few brackets to be looked at."""
    brackets = (
        (text.count(b"["), text.count(b"{"))
        if isinstance(text, bytes)
        else (text.count("["), text.count("{"))
    )
    if sum(brackets) <= DEEPEST:
        return False
    level, levels = [document], 0
    while level:
        levels += 1
        if levels > DEEPEST + 1:
            return True
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return False
