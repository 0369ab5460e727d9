"""Whose tokens hold."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.setting_sections.values import Key, KeySetUrl, SettingsError, split

Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


class IdentitySettings(BaseModel):
    """Whose tokens hold."""

    jwt_key: Key | None = Field(
        default=None,
        description="Signs and verifies bearer tokens (`HS…`), and signs links; at least 32 bytes. `cohort dev` makes one of its own in `data`",
    )
    jwt_former_keys: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(),
        description="Keys that `jwt_key` was before: tokens and links that they signed hold until they expire",
    )
    jwks_url: KeySetUrl | None = Field(
        default=None,
        description="Where the public keys of tokens are, as a JSON Web Key Set: `https://…` of the identity server, or `file:///PATH`",
    )
    jwt_algorithms: Annotated[tuple[Algorithm, ...], NoDecode, BeforeValidator(split)] = Field(
        default=("HS256",),
        min_length=1,
        description="Accepted algorithms: `HS…` by `jwt_key`, `RS…`, `PS…`, `ES…` and `EdDSA` by `jwks_url`; new tokens are "
        "signed with the first",
    )
    jwt_issuer: str = Field(
        default="cohort",
        min_length=1,
        description="The `iss` that a token must have; must be set where `jwks_url` is",
    )
    jwt_audience: str = Field(
        default="cohort",
        min_length=1,
        description="The `aud` that a token must have; must be set where `jwks_url` is",
    )
    jwt_leeway: float = Field(
        default=10.0,
        ge=0,
        le=300,
        description="Seconds by which the clock of who made a token may differ from this machine's",
    )
    jwt_roles: str = Field(
        default="roles",
        pattern=r"^[^.]+(\.[^.]+)*$",
        description="The claim that lists the roles, with dots between objects, such as `realm_access.roles`",
    )

    @property
    def signing_key(self) -> str:
        """The key that signs tokens. SettingsError if there is none."""
        return self.signing_keys[0]

    @property
    def signing_keys(self) -> Sequence[str]:
        """The key that signs tokens and links, and behind it those that did before. SettingsError if there is none."""
        if self.jwt_key is None:
            raise SettingsError(
                "COHORT_JWT_KEY is not set: without it no token can be checked; `openssl rand -hex 32` prints a key",
                field="jwt_key",
            )
        return [key.get_secret_value() for key in (self.jwt_key, *self.jwt_former_keys)]
