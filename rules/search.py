"""What is searched for: a document for each published collection and for each of its units, and the words of a text."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self

import orjson

from rules.contents import Content, ContentKind, Metadata
from rules.errors import InvalidInput
from rules.hierarchy import Hierarchy, RelationTree, is_collection
from rules.moments import milliseconds

LIVE = "Live"
"""The status of what everybody may find."""
DEFAULT, PARENT = "Default", "Parent"
"""The platform's words for the visibility of a collection, and of a unit, which is found within its collection alone."""

METADATA_FILTERS = (
    "subject",
    "medium",
    "gradeLevel",
    "board",
    "framework",
    "language",
    "primaryCategory",
    "contentType",
    "mimeType",
    "audience",
    "author",
    "createdBy",
)
"""Keys of metadata that one may filter by. A value is a text or a list of texts; any other is left out."""
FILTERS = (*METADATA_FILTERS, "status", "root", "kind", "visibility")
"""All that one may filter by and count."""

LONGEST_VALUE = 256
"""Characters of a value that one may filter by. A longer one is left out."""
LONGEST_NAME = 1_000
LONGEST_DESCRIPTION = 10_000
"""Characters of a name and of a description that are searched."""
LONGEST_UNIT_NAMES = 300_000
"""Characters of the names of all units that a collection is found by. 5,000 units have fewer."""
LONGEST_TEXT = 500
MOST_WORDS = 50
"""The most characters and words of a text that is searched for."""


JOINERS = "\u200c\u200d"
"""Join or part the letters within a word of some scripts."""


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """What the search index has of a collection or a unit.

    - ``root``: the collection that it is, or is in. A unit in two collections has a document for each.
    - ``unit_names``: of a collection, the names of its units: it is found by them too.
    - ``filters``: values by the names of FILTERS, without those that are empty.
    - ``published_on``: milliseconds; 0 if it is not known.
    """

    root: str
    identifier: str
    version: int
    name: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    unit_names: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    published_on: int = 0
    leaf_nodes_count: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.root, self.identifier

    @property
    def name_in_order(self) -> str:
        """Returns the name as names are put in order: small and capital letters are alike."""
        return self.name.casefold()[:LONGEST_VALUE]

    def encode(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def decode(cls, stored: bytes | str) -> Self:
        return cls.of(orjson.loads(stored))

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Returns the document from what ``encode`` made of it. What it has beside that is passed over."""
        return cls(
            root=stored["root"],
            identifier=stored["identifier"],
            version=stored["version"],
            name=stored["name"],
            description=stored["description"],
            keywords=tuple(stored["keywords"]),
            unit_names=tuple(stored["unit_names"]),
            filters={name: tuple(values) for name, values in stored["filters"].items()},
            published_on=stored["published_on"],
            leaf_nodes_count=stored["leaf_nodes_count"],
        )


def documents_of(content: Content, tree: Hierarchy, relations: RelationTree) -> list[SearchDocument]:
    """Returns the documents of a published collection: its own, then one of each unit, in the tree's order."""
    units = [node for node in tree.nodes.values() if is_collection(node) and node is not tree.root]
    return [
        _document(content, tree.root, content.leaf_nodes_count, ContentKind.COLLECTION, _unit_names(units)),
        *(
            _document(
                content, node, len(relations.nodes[node["identifier"]].leaf_nodes), ContentKind.UNIT, ()
            )
            for node in units
        ),
    ]


def _document(
    content: Content, node: Metadata, leaves: int, kind: ContentKind, unit_names: tuple[str, ...]
) -> SearchDocument:
    is_root = kind is ContentKind.COLLECTION
    filters = {name: _values(node.get(name)) for name in METADATA_FILTERS}
    filters |= {
        "status": (content.status if is_root else str(node.get("status") or content.status),),
        "root": (content.identifier,),
        "kind": (kind.value,),
        "visibility": (DEFAULT if is_root else PARENT,),
    }
    description = node.get("description")
    return SearchDocument(
        root=content.identifier,
        identifier=node["identifier"],
        version=content.live_version,
        name=node["name"][:LONGEST_NAME],
        description=description[:LONGEST_DESCRIPTION] if isinstance(description, str) else "",
        keywords=_values(node.get("keywords")),
        unit_names=unit_names,
        filters={name: values for name, values in filters.items() if values},
        published_on=0 if content.published_on is None else milliseconds(content.published_on),
        leaf_nodes_count=leaves,
    )


def _unit_names(units: Sequence[Metadata]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(node["name"][:LONGEST_NAME] for node in units))
    ends = accumulate(map(len, names))
    return tuple(name for name, end in zip(names, ends, strict=True) if end <= LONGEST_UNIT_NAMES)


def _values(value: object) -> tuple[str, ...]:
    """Returns the distinct texts of a value, without blank ones and those that are too long."""
    texts = value if isinstance(value, list) else [value]
    found = (text.strip() for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(text for text in found if 0 < len(text) <= LONGEST_VALUE))


def words_of(text: str) -> tuple[str, ...]:
    """Returns the words of a text that is searched for: letters, digits and their marks. All else only separates them.

    InvalidInput if it has more than LONGEST_TEXT characters or MOST_WORDS words.
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidInput(f"text must have at most {LONGEST_TEXT} characters", field="text")
    words = words_in(text)
    if len(words) > MOST_WORDS:
        raise InvalidInput(f"text must have at most {MOST_WORDS} words", field="text")
    return words


def words_in(text: str) -> tuple[str, ...]:
    """Returns what ``words_of`` does, of a text of any length."""
    spaced = "".join(character if _is_of_a_word(character) else " " for character in text)
    return tuple(word for word in spaced.split() if any(character.isalnum() for character in word))


def _is_of_a_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in JOINERS


_ALONE = re.compile(
    "([\u3040-\u309f\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[\u30a0-\u30ff\uff66-\uff9f]+)"
)
"""What is a word by itself in Chinese and Japanese, which have no spaces: a character, or a run of Katakana."""


def parted(text: str) -> str:
    """Returns the text with a space around each character that is a word by itself."""
    return _ALONE.sub(r" \1 ", text)
