"""Texts that people see: names, descriptions, attributes. None may hide what it says, or look like another (R-TEXT-1)."""

from unicodedata import bidirectional, category

from rules.errors import InvalidInput

LONGEST_NAME = 256
LONGEST_DESCRIPTION = 4096

_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Characters that turn the direction of what follows, beyond the text's own end."""


def checked_name(name: str, field: str = "name") -> str:
    """Returns the name without blanks around it. InvalidInput if it is blank, too long, or has a hidden character."""
    text = name.strip()
    if not text:
        raise InvalidInput(f"{field} must not be blank", field=field)
    if len(text) > LONGEST_NAME:
        raise InvalidInput(f"{field} must have at most {LONGEST_NAME} characters", field=field)
    check_text(text, field)
    return text


def checked_description(description: str | None) -> str | None:
    """Returns the description; None for a blank one. It may have lines and tabs. InvalidInput if it is too long or has a
    hidden character."""
    text = (description or "").strip()
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidInput(
            f"description must have at most {LONGEST_DESCRIPTION} characters", field="description"
        )
    check_text(text, "description", lines=True)
    return text or None


def check_text(text: str, field: str, *, lines: bool = False) -> None:
    """InvalidInput for a hidden character: a control character, a separator of lines, a change of direction. With
    ``lines`` the text may have several lines, and tabs. Joiners are invisible too, but several scripts are not written
    without them."""
    if text.isprintable():
        return
    for index, character in enumerate(text):
        if _is_hidden(character, lines):
            raise InvalidInput(
                f"{field} must not hold control characters: character {index + 1} is U+{ord(character):04X}",
                field=field,
            )


def without_hidden(text: str, *, lines: bool = False) -> str:
    """Returns the text of another system as it may be stored: each hidden character in it is a space."""
    if text.isprintable():
        return text
    return "".join(" " if _is_hidden(character, lines) else character for character in text)


def _is_hidden(character: str, lines: bool) -> bool:
    if lines and character in "\n\r\t":
        return False
    return category(character) in ("Cc", "Cs", "Zl", "Zp") or bidirectional(character) in _DIRECTIONS
