"""Who is asking: a bearer JWT becomes a viewer. The key is static; a JWKS would come in at `KeyOf`."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt

from gateway.settings import Settings
from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from rules.errors import InvalidInput, Unauthenticated
from rules.identifiers import checked_id
from rules.viewers import Role, Viewer

KeyOf = Callable[[str], str]
"""Gives the key that a token must be signed with."""
LEEWAY = timedelta(seconds=10)
"""How much the signer's clock may differ from ours."""
CHECKED_FOR = 60.0
"""Seconds for which a valid token is not verified again, but never after its expiry."""
MOST_CHECKED = 8 * MEGABYTE
"""Bytes of what is known of these tokens: of some 14,000."""
_NOBODY = (Viewer(), 0.0)
_MOMENTS = frozenset({"exp", "iat", "nbf"})
"""Claims in seconds since 1970. They are checked here, as the library also takes a text that looks like a number."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Checks tokens. The settings choose the algorithms, never the token."""

    key_of: KeyOf
    algorithms: tuple[str, ...]
    issuer: str | None = None
    audience: str | None = None
    checked: Kept[bytes, tuple[Viewer, float]] = field(
        default_factory=lambda: Kept(
            MOST_CHECKED, lambda _, checked: ENTRY + texts(checked[0].user_id), ttl=CHECKED_FOR
        )
    )
    """Viewer and expiry by the SHA-256 of a token. A learner's calls come in bursts, and a signature costs more than a
    look-up."""

    @classmethod
    def of(cls, settings: Settings) -> "Tokens":
        """The checks by these settings. SettingsError if there is no key."""
        key = settings.signing_key
        return cls(lambda _token: key, settings.jwt_algorithms, settings.jwt_issuer, settings.jwt_audience)

    def viewer(self, authorization: str | None) -> Viewer:
        """The caller, by the value of the Authorization header; anonymous without one.

        Unauthenticated if there is a header and its token is not valid: such a caller is never taken for an anonymous one.
        """
        if authorization is None:
            return Viewer()
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("the Authorization header must be: Bearer TOKEN")
        token = token.strip()
        digest = sha256(token.encode()).digest()
        viewer, expires = self.checked.get(digest, _NOBODY)
        if time.time() > expires:
            claims = self._claims(token)
            viewer = Viewer(_user(claims), _roles(claims))
            self.checked[digest] = viewer, claims["exp"]
        return viewer

    def _claims(self, token: str) -> dict[str, Any]:
        required = ["exp", "sub"]
        required += ["iss"] if self.issuer else []
        required += ["aud"] if self.audience else []
        key = self.key_of(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self.algorithms),
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": required, "verify_aud": self.audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"the token does not hold: {error}") from None
        except (TypeError, ValueError, OverflowError, RecursionError):
            # The library raises these for claims and headers of unexpected kinds.
            raise Unauthenticated("the token does not hold: it has a claim of the wrong kind") from None
        for name in _MOMENTS & claims.keys():
            if isinstance(claims[name], bool) or not isinstance(claims[name], int | float):
                raise Unauthenticated(f"the token does not hold: {name} must be a number")
        return claims


def make_token(settings: Settings, user: str, roles: Iterable[Role], ttl: timedelta) -> str:
    """A token that ``Tokens`` of the same settings accepts. InvalidInput if the user is blank or the life not positive."""
    if checked_id(user, "user") != user:
        raise InvalidInput("the user must not begin or end with space", field="user")
    if ttl <= timedelta(0):
        raise InvalidInput("the time to live must be longer than nothing", field="ttl")
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": user,
        "roles": sorted(role.value for role in roles),
        "iat": now,
        "exp": now + int(ttl.total_seconds()),
    }
    claims |= {"iss": settings.jwt_issuer} if settings.jwt_issuer else {}
    claims |= {"aud": settings.jwt_audience} if settings.jwt_audience else {}
    return jwt.encode(claims, settings.signing_key, settings.jwt_algorithms[0])


def _user(claims: dict[str, Any]) -> str:
    """The user id, never trimmed: if commands trimmed it, two ids could name one learner."""
    user: str = claims["sub"]
    try:
        if checked_id(user, "sub") == user:
            return user
    except InvalidInput as error:
        raise Unauthenticated(f"the token does not hold: {error.message}") from None
    raise Unauthenticated("the token does not hold: sub must not begin or end with space")


def _roles(claims: dict[str, Any]) -> frozenset[Role]:
    """The roles that Cohort knows. Others belong to other systems and are ignored."""
    named = claims.get("roles", [])
    if not isinstance(named, list):
        raise Unauthenticated("the token does not hold: roles must be a list")
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in named if isinstance(name, str) and name in known)
