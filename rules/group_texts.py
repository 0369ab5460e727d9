"""Names and descriptions of groups, as they may be stored."""

from unicodedata import bidirectional, category

from rules.errors import InvalidInput

LONGEST_NAME = 256
LONGEST_DESCRIPTION = 4096


def checked_name(name: str) -> str:
    """The name without blanks around it. InvalidInput if it is blank, too long, or has what ``_check_text`` refuses."""
    text = name.strip()
    if not text:
        raise InvalidInput("name must not be blank", field="name")
    if len(text) > LONGEST_NAME:
        raise InvalidInput(f"name must have at most {LONGEST_NAME} characters", field="name")
    _check_text(text, "name")
    return text


def checked_description(description: str | None) -> str | None:
    """The description; None for a blank one. It may have lines and tabs. InvalidInput if it is too long or has what
    ``_check_text`` refuses."""
    text = (description or "").strip()
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidInput(
            f"description must have at most {LONGEST_DESCRIPTION} characters", field="description"
        )
    _check_text(text.translate(_LINES), "description")
    return text or None


_LINES = str.maketrans("\n\r\t", "   ")


_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Characters that turn the direction of what follows, beyond the text's own end."""


def _check_text(text: str, field: str) -> None:
    """InvalidInput for control characters, line separators and changes of direction. Joiners are invisible too, but
    several scripts are not written without them."""
    for character in text:
        hidden = category(character) in ("Cc", "Zl", "Zp") or bidirectional(character) in _DIRECTIONS
        if hidden:
            raise InvalidInput(f"{field} must not hold control characters", field=field)
