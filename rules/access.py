"""Who may ask for what: each kind of access once. Fields of GraphQL and endpoints of REST declare one of these, and what
checks a caller is given the same one (``Viewer.check``, ``Viewer.acting_for``), so that the two can't differ."""

from dataclasses import dataclass
from enum import Enum, unique


class Role(Enum):
    LEARNER = "learner"
    MENTOR = "mentor"
    CREATOR = "creator"
    REPORTER = "reporter"
    ADMIN = "admin"
    SERVICE = "service"


ALL_LEARNERS = (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE)
"""The roles that may see every learner."""
ALL_FIGURES = (*ALL_LEARNERS, Role.CREATOR)
"""The roles that may see figures over all learners. A creator sees how learning goes, not who learns."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is admitted: who has one of the ``roles``, and those whom what is asked for names, in words.

    ``named`` None: the role alone decides. ``needs_token`` alone: everybody who has one. ``note``: what else is to be known.
    """

    roles: tuple[Role, ...] = ()
    named: str | None = None
    needs_token: bool = True
    note: str = ""

    @property
    def by_role_alone(self) -> bool:
        return bool(self.roles) and self.named is None

    @property
    def words(self) -> str:
        """As in ``a mentor, an admin or a service``."""
        if not self.roles and self.named is None:
            return "everybody who has a token" if self.needs_token else "anybody, without a token"
        told = [*([self.named] if self.named else []), *map(with_article, self.roles)]
        return " or ".join(([", ".join(told[:-1])] if told[1:] else []) + told[-1:])

    @property
    def sentence(self) -> str:
        roles = f"the role{'s' if self.roles[1:] else ''} {', '.join(role.value for role in self.roles)}"
        told = "; and ".join([*([self.named] if self.named else []), *([roles] if self.roles else [])])
        told = told or self.words
        return f"{told[0].upper()}{told[1:]}. {self.note}".strip()


@unique
class Access(Enum):
    """The kinds of access. docs/api.md has them as a table."""

    ANYBODY = Admitted(needs_token=False, note="What is asked for proves itself, as a signed link does.")
    SIGNED_IN = Admitted()
    WITH_OBJECT = Admitted(
        named="whoever is answered with the object that it is a field of",
        note="Nothing more is asked of them.",
    )
    LEARNER = Admitted(ALL_LEARNERS, "the learner")
    LEARNER_OR_GUIDES = Admitted(
        ALL_LEARNERS,
        "the learner, a mentor of the context, who created it",
        note="Mentors and creators reach it by the context's roster.",
    )
    CONTEXT_GUIDES = Admitted(ALL_LEARNERS, "a mentor of the context, who created it")
    PERSON = Admitted((Role.ADMIN, Role.SERVICE), "they themselves")
    CALLER = Admitted((Role.SERVICE,), "they themselves")
    ENROLLER = Admitted(
        (Role.ADMIN, Role.SERVICE),
        "the learner, a mentor of this context who has the role mentor",
        note="Who may enrol at all is said by the context.",
    )
    RECOUNTER = Admitted((Role.MENTOR, Role.ADMIN, Role.SERVICE), "the learner")
    GROUP_MEMBERS = Admitted(ALL_LEARNERS, "members of the group")
    GROUP_ADMINS = Admitted((Role.ADMIN, Role.SERVICE), "an admin of the group")
    EXHAUST_ASKER = Admitted(
        (Role.ADMIN, Role.SERVICE), "who asked for it", note="Who asked must still be one of CONTEXT_GUIDES."
    )
    EVERY_LEARNER = Admitted(ALL_LEARNERS)
    FIGURES = Admitted(
        ALL_FIGURES,
        note="A creator sees them by attributes of learners only of cohorts that are large enough.",
    )
    AUTHORS = Admitted((Role.CREATOR, Role.ADMIN, Role.SERVICE))


def with_article(role: Role) -> str:
    return f"{'an' if role.value[0] in 'aeiou' else 'a'} {role.value}"
