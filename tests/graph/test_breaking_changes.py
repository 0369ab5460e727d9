"""No change of the schema breaks the clients of the last release unless it is meant, and says why."""

import re

import pytest

from graph.breaking_changes import MEANT, breaking_changes, meant_changes
from graph.schema import RELEASED, printed_schema

CURRENT = printed_schema()
DESCRIBED = re.compile(r'^ *""".*?"""\n', re.DOTALL | re.MULTILINE)
"""A description stands before what it describes."""


def test_clients_of_the_last_release_go_on_working() -> None:
    found = set(breaking_changes(RELEASED.read_text(), CURRENT))
    meant = set(meant_changes(MEANT.read_text()))
    assert found - meant == set(), "list it in graph/breaking_changes.toml with its reason, or take it back"
    assert meant - found == set(), "listed in graph/breaking_changes.toml, and breaks nothing"


@pytest.mark.parametrize(
    ("kept", "planted", "told"),
    [
        (r"\n  me: Learner @access\(to: SIGNED_IN\)\n", "\n", "Query.me was removed."),
        (r"  context\(\n", "  context(\n    planted: Int!\n", "Query.context(planted:) was added"),
        (r"  completedCount: Int!", "  completedCount: String!", "changed type from Int! to String!."),
        (r"\n  PASS_RATE\n", "\n", "PASS_RATE was removed"),
        (r"type Learner implements Node ", "type Learner ", "Learner no longer implements interface Node."),
    ],
)
def test_a_planted_break_is_found(kept: str, planted: str, told: str) -> None:
    broken = re.sub(kept, planted, DESCRIBED.sub("", CURRENT))
    assert broken != DESCRIBED.sub("", CURRENT)
    assert any(told in change for change in breaking_changes(CURRENT, broken)), breaking_changes(
        CURRENT, broken
    )
    assert any(told in change for change in breaking_changes(RELEASED.read_text(), broken))


def test_what_is_new_breaks_nobody() -> None:
    more = CURRENT.replace(
        "\n  me: Learner @access(to: SIGNED_IN)\n", "\n  me: Learner\n  planted(more: Int): Int\n"
    )
    assert more != CURRENT
    assert breaking_changes(CURRENT, more) == []


def test_a_change_that_is_meant_says_why() -> None:
    assert meant_changes('[[change]]\nwhat = "Query.me was removed."\nreason = "Ask for `learner`."') == {
        "Query.me was removed.": "Ask for `learner`."
    }
    with pytest.raises(ValueError, match="needs a reason"):
        meant_changes('[[change]]\nwhat = "Query.me was removed."\nreason = " "')
