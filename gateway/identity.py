"""Who is asking: a bearer JWT becomes a viewer (R-IDENTITY-1)."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt

from gateway.http.on_behalf import FOR_HEADER
from gateway.key_sets import ASYMMETRIC, KeySet
from gateway.settings import Settings, SettingsError
from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from rules.errors import Forbidden, InvalidInput, Unauthenticated
from rules.identifiers import checked_id
from rules.viewers import Role, Viewer

CHECKED_FOR = 60.0
"""Seconds for which a valid token is not verified again, but never after its expiry."""
MOST_CHECKED = 8 * MEGABYTE
"""Bytes of what is known of these tokens: of some 14,000."""
PARENT = "parentId"
"""The claim of a managed user's token that says who may use it, as the platform has it (P-2.1)."""
_MOMENTS = frozenset({"exp", "iat", "nbf"})
"""Claims in seconds since 1970. They are checked here, as the library also takes a text that looks like a number."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token that holds says: who, what they may do, until when, and for a managed user whose they are."""

    viewer: Viewer
    expires: float
    parent: object = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Checks tokens. The settings choose the algorithms and the keys, never the token."""

    secrets: Sequence[str]
    """Those of ``HS…``: the first signs, all verify."""
    key_set: KeySet | None
    algorithms: tuple[str, ...]
    issuer: str
    audience: str
    leeway: timedelta
    roles: str
    checked: Kept[bytes, Claims] = field(
        default_factory=lambda: Kept(
            MOST_CHECKED, lambda _, claims: ENTRY + texts(claims.viewer.user_id), ttl=CHECKED_FOR
        )
    )
    """By the SHA-256 of a token. A learner's calls come in bursts, and a signature costs more than a look-up."""

    @classmethod
    def of(cls, settings: Settings) -> "Tokens":
        """The checks by these settings. SettingsError if there is no key, or none for an accepted algorithm."""
        check_identity(settings)
        return cls(
            () if settings.jwt_key is None else settings.signing_keys,
            None if settings.jwks_url is None else KeySet.at(settings.jwks_url),
            settings.jwt_algorithms,
            settings.jwt_issuer,
            settings.jwt_audience,
            timedelta(seconds=settings.jwt_leeway),
            settings.jwt_roles,
        )

    async def viewer(self, authorization: str | None, on_behalf_of: str | None = None) -> Viewer:
        """The caller, by the value of the Authorization header; anonymous without one. ``on_behalf_of``: the token of a
        managed user, whom the caller is then: without a role, whatever the caller may do for themselves.

        Unauthenticated if there is a header and its token is not valid: such a caller is never taken for an anonymous one.
        StoreUnavailable if the keys can't be had. Forbidden if the managed user is not the caller's.
        """
        if authorization is None and on_behalf_of is None:
            return Viewer()
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("the Authorization header must be: Bearer TOKEN")
        caller = await self._claims(token.strip())
        if caller.parent is not None:
            raise Unauthenticated(
                f"the token of a managed user goes into {FOR_HEADER}, beside the caller's own"
            )
        if on_behalf_of is None:
            return caller.viewer
        managed = await self._claims(on_behalf_of)
        if managed.parent != caller.viewer.user_id:
            raise Forbidden("this managed user is another's", field=FOR_HEADER)
        return Viewer(managed.viewer.user_id)

    async def _claims(self, token: str) -> Claims:
        digest = sha256(token.encode()).digest()
        known = self.checked.get(digest)
        if known is None or time.time() > known.expires:
            told = await self._verified(token)
            known = Claims(Viewer(_user(told), _roles(told, self.roles)), told["exp"], told.get(PARENT))
            self.checked[digest] = known
        return known

    async def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token. Each key that may have signed it is tried; there are several while keys change."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header["alg"], header.get("kid")
            if algorithm not in self.algorithms:
                raise Unauthenticated("the token does not hold: its alg is not accepted here")
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise Unauthenticated(f"the token does not hold: {error or 'its header has no alg'}") from None
        keys: Sequence[Any] = self.secrets
        if algorithm in ASYMMETRIC:
            assert self.key_set is not None  # noqa: S101 - check_identity saw to it
            keys = [(await self.key_set.key(key_id, algorithm)).key]
        for key in keys[:-1]:
            try:
                return self._signed_with(key, token, algorithm)
            except _OtherKey:
                continue
        return self._signed_with(keys[-1], token, algorithm)

    def _signed_with(self, key: Any, token: str, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except jwt.InvalidSignatureError as error:
            raise _OtherKey(f"the token does not hold: {error}") from None
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"the token does not hold: {error}") from None
        except (TypeError, ValueError, OverflowError, RecursionError):
            # The library raises these for claims and headers of unexpected kinds.
            raise Unauthenticated("the token does not hold: it has a claim of the wrong kind") from None
        for name in _MOMENTS & claims.keys():
            if isinstance(claims[name], bool) or not isinstance(claims[name], int | float):
                raise Unauthenticated(f"the token does not hold: {name} must be a number")
        return claims


class _OtherKey(Unauthenticated):
    """The token was not signed with this key."""


def check_identity(settings: Settings) -> None:
    """SettingsError unless each accepted algorithm has a key, and every key an algorithm."""
    public = ASYMMETRIC & {*settings.jwt_algorithms}
    if settings.jwks_url is None:
        _ = settings.signing_key
        if public:
            raise SettingsError(
                f"jwt_algorithms has {min(public)}, whose keys jwks_url must name", field="jwks_url"
            )
        return
    if not public:
        raise SettingsError(
            "jwt_algorithms has none whose keys are in jwks_url, such as RS256", field="jwt_algorithms"
        )
    if settings.jwt_key is None and public != {*settings.jwt_algorithms}:
        raise SettingsError("jwt_algorithms has one that needs jwt_key, which is not set", field="jwt_key")
    for name in ("jwt_issuer", "jwt_audience"):
        if name not in settings.model_fields_set:
            raise SettingsError(
                f"{name} must be said beside jwks_url: an identity server makes tokens for many", field=name
            )


def make_token(settings: Settings, user: str, roles: Iterable[Role], ttl: timedelta) -> str:
    """A token that ``Tokens`` of the same settings accepts. InvalidInput if the user is blank or the life not positive.
    SettingsError if tokens are made elsewhere."""
    if checked_id(user, "user") != user:
        raise InvalidInput("the user must not begin or end with space", field="user")
    if ttl <= timedelta(0):
        raise InvalidInput("the time to live must be longer than nothing", field="ttl")
    key = settings.signing_key
    algorithm = next((name for name in settings.jwt_algorithms if name not in ASYMMETRIC), None)
    if algorithm is None:
        raise SettingsError(
            "jwt_algorithms has none that jwt_key signs with, such as HS256: tokens are made by the identity server",
            field="jwt_algorithms",
        )
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": user,
        "iat": now,
        "exp": now + int(ttl.total_seconds()),
    }
    *objects, name = settings.jwt_roles.split(".")
    within = claims
    for part in objects:
        within = within.setdefault(part, {})
    within[name] = sorted(role.value for role in roles)
    return jwt.encode(claims, key, algorithm)


def _user(claims: dict[str, Any]) -> str:
    """The user id, never trimmed: if commands trimmed it, two ids could name one learner."""
    user: str = claims["sub"]
    try:
        if checked_id(user, "sub") == user:
            return user
    except InvalidInput as error:
        raise Unauthenticated(f"the token does not hold: {error.message}") from None
    raise Unauthenticated("the token does not hold: sub must not begin or end with space")


def _roles(claims: dict[str, Any], claim: str) -> frozenset[Role]:
    """The roles that Cohort knows. Others belong to other systems and are ignored."""
    *objects, name = claim.split(".")
    within: Any = claims
    for part in objects:
        within = within.get(part, {}) if isinstance(within, dict) else None
    named = within.get(name, []) if isinstance(within, dict) else None
    if not isinstance(named, list):
        raise Unauthenticated(f"the token does not hold: {claim} must be a list")
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in named if isinstance(name, str) and name in known)
