"""Whose tokens hold."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.setting_sections.values import Key, SettingsError, split


class IdentitySettings(BaseModel):
    """Whose tokens hold."""

    jwt_key: Key | None = Field(
        default=None,
        description="Signs and verifies bearer tokens; at least 32 bytes. `cohort dev` makes one of its own in `data`",
    )
    jwt_algorithms: Annotated[
        tuple[Literal["HS256", "HS384", "HS512"], ...], NoDecode, BeforeValidator(split)
    ] = Field(
        default=("HS256",),
        min_length=1,
        description="Accepted algorithms; new tokens are signed with the first",
    )
    jwt_issuer: str | None = Field(default=None, description="If set, the `iss` that a token must have")
    jwt_audience: str | None = Field(default=None, description="If set, the `aud` that a token must have")

    @property
    def signing_key(self) -> str:
        """The key that signs tokens. SettingsError if there is none."""
        if self.jwt_key is None:
            raise SettingsError(
                "COHORT_JWT_KEY is not set: without it no token can be checked; `openssl rand -hex 32` prints a key",
                field="jwt_key",
            )
        return self.jwt_key.get_secret_value()
