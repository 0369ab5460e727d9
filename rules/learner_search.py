"""What learners are searched for by: a document for each profile, and the words of a name.

Engines compare texts only. What makes two words alike, and where a word begins, is decided here, once for the index and
for who searches.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate

from rules.errors import InvalidInput
from rules.learners import Learner
from rules.search import LONGEST_TEXT, MOST_WORDS, parted, words_in

LONGEST_WORD = 64
"""Characters of a word that count. What is longer is alike if these are."""
LONGEST_IN_ORDER = 256
"""Characters of a name that count for its place in the order of names."""
NAMELESS = "\U0010fffd"
"""Comes after every name: where learners without a name are in the order of names."""
USER_ID_WEIGHT = 100
"""What a user id that is the text adds to the relevance. Each whole word adds 1, and there are at most MOST_WORDS."""

_ASCII_FOR = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
"""Latin letters whose strokes and ties are no accents to Unicode."""
_END_OF_LATIN = "\u0250"


class LearnerOrder(Enum):
    """By what learners that were found are ordered. What it leaves open is ordered by name, then by user id."""

    RELEVANCE = "relevance"
    NAME = "name"
    USER_ID = "userId"


@dataclass(frozen=True, slots=True)
class LearnerDocument:
    """What the index has of a learner: all of it is in the profile."""

    user_id: str
    name: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, learner: Learner) -> "LearnerDocument":
        return cls(learner.user_id, learner.name, dict(learner.attributes))

    @property
    def words(self) -> tuple[str, ...]:
        """Returns, without repetition, the texts that begin where a word of the name does, each up to the word's end."""
        found = (begun for word in words_in(folded(self.name or "")) for begun in beginnings(word))
        return tuple(dict.fromkeys(found))

    @property
    def name_in_order(self) -> str:
        """Returns the name as names are put in order: capitals and accents of Latin letters make no difference."""
        return folded(self.name)[:LONGEST_IN_ORDER] if self.name else NAMELESS


@dataclass(frozen=True, slots=True)
class LearnerText:
    """A text that is searched for: learners whose name has a word that begins with each of ``words``, and those whose
    user id begins with ``user_id``."""

    words: tuple[str, ...]
    user_id: str

    @classmethod
    def of(cls, text: str) -> "LearnerText":
        """InvalidInput if the text has more than LONGEST_TEXT characters or MOST_WORDS words, or control characters."""
        if len(text) > LONGEST_TEXT:
            raise InvalidInput(f"text must have at most {LONGEST_TEXT} characters", field="text")
        text = text.strip()
        if not text.isprintable():
            raise InvalidInput("text must not hold control characters", field="text")
        words = tuple(dict.fromkeys(word[:LONGEST_WORD] for word in words_in(folded(text))))
        if len(words) > MOST_WORDS:
            raise InvalidInput(f"text must have at most {MOST_WORDS} words", field="text")
        return cls(words, text)


def folded(text: str) -> str:
    """Returns the text with small letters alone, and without accents of Latin letters."""
    kept: list[str] = []
    after_latin = False
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()):
        if not unicodedata.combining(character):
            after_latin = character < _END_OF_LATIN
        elif after_latin:
            continue
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_ASCII_FOR)


def beginnings(word: str) -> tuple[str, ...]:
    """Returns the word from each place on where one may begin: its start and, in Chinese and Japanese, which have no
    spaces, every character that is a word by itself, and what follows it."""
    *starts, _end = accumulate(map(len, parted(word).split()), initial=0)
    return tuple(word[start : start + LONGEST_WORD] for start in starts)
