"""Kinds of values that settings have, and the error of those that have none of them."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from rules.errors import CohortError, InvalidInput
from rules.periods import is_zone
from stores.urls import check_store_url

SHORTEST_KEY = 32
"""Bytes. HMAC-SHA256 needs so many to be as strong as its digest."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


class SettingsError(CohortError):
    """A setting is missing, unknown or wrong; the message names it and says what would be right."""

    code = "INVALID_SETTINGS"


def split(value: object) -> object:
    """The list from a text such as ``a,b`` in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _store_urls(value: str, info: ValidationInfo) -> str:
    assert info.field_name is not None  # noqa: S101 - it validates fields alone
    try:
        check_store_url(info.field_name, value)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return value


StoreUrl = Annotated[str, AfterValidator(_store_urls)]


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name):
            raise ValueError("each must be HOST or HOST:PORT, as it stands in a URL, without the rest of it")
    return names


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "each must be an origin as browsers send it, such as https://app.example or http://localhost:3000: "
                "small letters, no path, no slash at the end; or * for any"
            )
    return origins


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(
                "each must be an address such as 10.1.2.3, or a network such as 10.0.0.0/8 or fd00::/8"
            ) from None
    return networks


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("must be a time zone of the IANA database, such as Asia/Kolkata or UTC")
    return name


def _strong(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < SHORTEST_KEY:
        raise ValueError(f"must have at least {SHORTEST_KEY} bytes; `openssl rand -hex 32` prints such a key")
    return key


def _key_set(url: str) -> str:
    parts = urlsplit(url)
    at_home = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if url.startswith("file:///"):
        return url
    if not (parts.scheme == "https" or at_home) or not parts.hostname or parts.username is not None:
        raise ValueError(
            "must be https://HOST/PATH or file:///PATH; plain http only on this machine: whoever changes the keys on the "
            "way can make tokens"
        )
    return url


Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split), AfterValidator(_hosts)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split), AfterValidator(_origins)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split), AfterValidator(_networks)]
Zone = Annotated[str, AfterValidator(_zone)]
KeySetUrl = Annotated[str, AfterValidator(_key_set)]
Key = Annotated[SecretStr, AfterValidator(_strong)]
