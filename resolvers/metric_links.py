"""Links to a table of figures for a dashboard that can't send a token: who has one sees this table, and nothing else, until
it expires (D-LINKS-TO-FIGURES)."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from loaders.session import Session, Shared
from rules.errors import Forbidden, InvalidInput
from rules.hierarchy import Json
from rules.signatures import Signer
from rules.viewers import ALL_FIGURES, Role, Viewer

USUAL_LIFE, LONGEST_LIFE = 3_600, 7 * 24 * 3_600
"""Seconds that a link holds, unless told, and at most."""
LONGEST_LINK = 4_000
"""Characters of a link: browsers and proxies take no longer URL everywhere."""
_BY_LINK = "by a link"


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link stands for. ``asked``: the call, as its signer made it. ``roles``: those of the signer by which figures
    are seen."""

    asked: Json
    roles: frozenset[Role]
    expires: datetime

    def session(self, shared: Shared) -> Session:
        """A session with the right of the signer, and with no user. What it asks for is checked as every call is."""
        return Session(Viewer(_BY_LINK, self.roles, by_link=True), shared)


class MetricLinks:
    """Signs links and opens them."""

    def __init__(self, keys: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._signer = Signer(keys, "cohort metric links")
        self._now = now

    def signed(self, viewer: Viewer, asked: Json, life: int = USUAL_LIFE) -> tuple[str, datetime]:
        """A link's text, and when it expires. InvalidInput for a life that is too long, or for what is too long for a
        link. Whether the caller may see what is asked, must be checked before."""
        if not 1 <= life <= LONGEST_LIFE:
            raise InvalidInput(f"expiresIn must be from 1 to {LONGEST_LIFE} seconds", field="expiresIn")
        expires = (self._now() + timedelta(seconds=life)).replace(microsecond=0)
        roles = sorted(role.value for role in viewer.roles & {*ALL_FIGURES})
        said = zlib.compress(orjson.dumps([int(expires.timestamp()), roles, asked]))
        text = urlsafe_b64encode(said).decode().rstrip("=")
        link = f"{text}.{self._signer.signature(text)}"
        if len(link) > LONGEST_LINK:
            raise InvalidInput(
                f"this is too long for a link, which has {LONGEST_LINK} characters at most: name fewer ids or values",
                field="table",
            )
        return link, expires

    def opened(self, link: str) -> Linked:
        """Forbidden where the link was not signed here, or has expired."""
        text, _, signature = link.partition(".")
        if not self._signer.has_signed(text, signature):
            raise Forbidden("this link was not given out so; ask for a new one", field="link")
        said = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        until, roles, asked = orjson.loads(zlib.decompress(said))
        expires = datetime.fromtimestamp(until, UTC)
        if expires < self._now():
            raise Forbidden("this link has expired; ask for a new one", field="link")
        return Linked(asked, frozenset(map(Role, roles)), expires)
