"""Which completions elsewhere count in a context: the business rules of copy and move, as declared data (R-MODE-6,
P-4.7).

``{"match": "any"|"all", "rules": [{"type": "completedWithin", "unit": "days"|"months", "value": n},
{"type": "withinContextDuration"}, {"type": "always"}]}``. A month has 30 days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import orjson

DAYS_OF_MONTH = 30


class Match(Enum):
    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Completion:
    """What a rule looks at: when the content was completed, when that is to count, and the dates of the context."""

    completed_on: datetime
    at: datetime
    starts_on: datetime | None = None
    ends_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class CompletedWithin:
    """The content was completed at most ``days`` before the moment when that is to count."""

    days: int
    words: str

    def holds(self, completion: Completion) -> bool:
        return completion.at - completion.completed_on <= timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class WithinContextDuration:
    """The content was completed between the start and the end of the context. An open end is no end."""

    words: str = "completed within the duration of the context"

    def holds(self, completion: Completion) -> bool | None:
        """Returns None for a context without dates: the rule abstains."""
        starts, ends = completion.starts_on, completion.ends_on
        if starts is None and ends is None:
            return None
        done = completion.completed_on
        return (starts is None or done >= starts) and (ends is None or done <= ends)


@dataclass(frozen=True, slots=True)
class Always:
    words: str = "always"

    def holds(self, completion: Completion) -> bool:
        return True


Rule = CompletedWithin | WithinContextDuration | Always


@dataclass(frozen=True, slots=True)
class CarryRules:
    """The rules of an instance. ``problem`` says why the setting can't be read; then nothing is carried."""

    match: Match = Match.ANY
    rules: tuple[Rule, ...] = ()
    problem: str | None = None

    def reason(self, completion: Completion) -> str | None:
        """Returns the rules that let the completion count, in words, and None where it does not count.

        Rules that abstain are passed over. Where all abstain, or there is no rule, nothing counts."""
        told = [(rule, holds) for rule in self.rules if (holds := rule.holds(completion)) is not None]
        held = [rule.words for rule, holds in told if holds]
        if not held or (self.needs_all and len(held) < len(told)):
            return None
        return " and ".join(held) if self.needs_all else held[0]

    @property
    def needs_all(self) -> bool:
        return self.match is Match.ALL


NOTHING = CarryRules()
"""No rules: nothing is carried."""


def parse_rules(text: str | None) -> CarryRules:
    """Reads the rules of the setting. It raises no error: rules that can't be read carry nothing, and have a
    ``problem`` that servers and workers tell as they start."""
    if text is None or not text.strip():
        return CarryRules(problem="no rules are declared")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return CarryRules(problem=f"not JSON: {error}")
    if not isinstance(document, dict):
        return CarryRules(problem='must be an object {"match": …, "rules": […]}')
    if unknown := document.keys() - {"match", "rules"}:
        return CarryRules(problem=f"it has no {min(unknown)}, only match and rules")
    match, rules = document.get("match", Match.ANY.value), document.get("rules")
    if match not in [each.value for each in Match]:
        return CarryRules(problem="match must be any or all")
    if not isinstance(rules, list) or not rules:
        return CarryRules(problem="rules must be a list of at least one")
    return _parsed(Match(match), rules)


def _parsed(match: Match, documents: Iterable[Any]) -> CarryRules:
    rules: list[Rule] = []
    for place, document in enumerate(documents):
        rule = _rule(document)
        if isinstance(rule, str):
            return CarryRules(problem=f"rules[{place}]: {rule}")
        rules.append(rule)
    return CarryRules(match, tuple(rules))


def _rule(document: Any) -> Rule | str:
    """Returns the rule, or what is wrong with it, in words."""
    kind = document.get("type") if isinstance(document, dict) else None
    known = {"type", "unit", "value"} if kind == "completedWithin" else {"type"}
    if kind is not None and (unknown := document.keys() - known):
        return f"{kind} has no {min(unknown)}"
    match kind:
        case "always":
            return Always()
        case "withinContextDuration":
            return WithinContextDuration()
        case "completedWithin":
            unit, value = document.get("unit"), document.get("value")
            if unit not in ("days", "months"):
                return "unit must be days or months"
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 36_500:
                return "value must be a number of days or months, from 1 to 36500"
            return CompletedWithin(
                value * (DAYS_OF_MONTH if unit == "months" else 1),
                f"completed within {value} {unit if value > 1 else unit[:-1]}",
            )
    return "type must be completedWithin, withinContextDuration or always"
