"""Tokens that an identity server signs: its keys are read from where the operator says, and changed as it changes them."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.identity import Tokens, check_identity, make_token
from gateway.key_sets import KEPT, SOONEST, USABLE, KeySet, keys_in
from gateway.settings import SettingsError, load_settings
from rules.errors import StoreUnavailable, Unauthenticated
from rules.viewers import Viewer
from tests.gateway.conftest import KEY

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
SMALL = rsa.generate_private_key(public_exponent=65_537, key_size=1024)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ALGORITHMS: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def member(key: Any, algorithm: str, kid: str | None, **more: Any) -> dict[str, Any]:
    public = json.loads(ALGORITHMS[algorithm].to_jwk(key.public_key()))
    return {**public, **({} if kid is None else {"kid": kid}), **more}


def signed(key: Any, algorithm: str, kid: str | None, **claims: Any) -> str:
    told = {"iss": "school", "aud": "cohort", "sub": "u", "exp": int(time.time()) + 3600, **claims}
    return "Bearer " + jwt.encode(told, key, algorithm, headers={} if kid is None else {"kid": kid})


class Server:
    """An identity server: its set, how often it was asked, and whether it is away."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.members: Sequence[dict[str, Any]] = members
        self.asked = 0
        self.away = False
        self.now = 1_000.0

    async def read(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("nobody is there")
        return json.dumps({"keys": [*self.members]}).encode()

    def tokens(self, *algorithms: str) -> Tokens:
        of = algorithms or ("RS256", "ES256", "EdDSA", "PS256")
        key_set = KeySet(self.read, lambda: self.now)
        return Tokens((), key_set, of, "school", "cohort", timedelta(0), "roles")


async def test_a_token_of_the_identity_server_holds_by_its_key() -> None:
    server = Server(member(RSA, "RS256", "r"), member(EC, "ES256", "e"), member(ED, "EdDSA", "d"))
    tokens = server.tokens()
    for key, algorithm, kid in (
        (RSA, "RS256", "r"),
        (RSA, "PS256", "r"),
        (EC, "ES256", "e"),
        (ED, "EdDSA", "d"),
    ):
        assert await tokens.viewer(signed(key, algorithm, kid)) == Viewer("u")
    assert server.asked == 1
    for wrong in (
        signed(RSA, "RS256", "e"),
        signed(RSA, "RS256", "other"),
        signed(EC, "ES256", "d"),
        signed(RSA, "RS512", "r"),
        signed(rsa.generate_private_key(public_exponent=65_537, key_size=2048), "RS256", "r"),
        signed(RSA, "RS256", "r", iss="other"),
        signed(RSA, "RS256", "r", aud="other"),
    ):
        with pytest.raises(Unauthenticated):
            await tokens.viewer(wrong)


async def test_a_public_key_is_never_a_shared_secret() -> None:
    """The classic confusion: a token that is signed with the bytes of the public key, as if it were a secret."""
    told = member(RSA, "RS256", "r")
    server = Server(told)
    claims = {"iss": "school", "aud": "cohort", "sub": "u", "exp": int(time.time()) + 60}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "r"}, claims)
    ]
    text = b".".join(part.rstrip(b"=") for part in parts)
    signature = hmac.digest(json.dumps(told).encode(), text, "sha256")
    forged = f"Bearer {text.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    with pytest.raises(Unauthenticated, match="alg is not accepted"):
        await server.tokens().viewer(forged)
    both = Tokens((KEY,), KeySet(server.read), ("HS256", "RS256"), "school", "cohort", timedelta(0), "roles")
    with pytest.raises(Unauthenticated, match="Signature verification failed"):
        await both.viewer(forged)
    assert await both.viewer(signed(KEY, "HS256", None)) == Viewer("u")


@pytest.mark.parametrize(
    "unfit",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "r"},
        member(RSA, "RS256", "r", use="enc"),
        member(SMALL, "RS256", "r"),
        member(RSA, "RS256", "r", alg="none"),
        {**member(RSA, "RS256", "r"), "d": "AQAB"},
        {"kty": "RSA", "kid": "r"},
        {**member(RSA, "RS256", None), "kid": 7},
    ],
    ids=["shared secret", "for encryption", "short", "alg none", "private", "no numbers", "kid is no text"],
)
async def test_a_member_that_is_no_key_for_tokens_is_left_out(unfit: dict[str, Any]) -> None:
    assert keys_in(json.dumps({"keys": [unfit, 7, None]}).encode()) == {}


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": {}}', b'{"keys": null}', b"\xff", b"<html>"])
async def test_what_is_no_set_makes_no_token_hold_and_is_a_store_that_is_away(document: bytes) -> None:
    async def read() -> bytes:
        return document

    tokens = Tokens((), KeySet(read), ("RS256",), "school", "cohort", timedelta(0), "roles")
    with pytest.raises(StoreUnavailable, match="keys"):
        await tokens.viewer(signed(RSA, "RS256", "r"))


async def test_a_new_key_holds_at_once_and_one_that_is_gone_no_longer_after_a_while() -> None:
    server = Server(member(RSA, "RS256", "old"))
    key_set = KeySet(server.read, lambda: server.now)
    assert await key_set.key("old", "RS256")
    server.members = [member(EC, "ES256", "new")]
    server.now += SOONEST + 1
    assert await key_set.key("new", "ES256"), "an unknown id has the set read again"
    assert server.asked == 2
    with pytest.raises(Unauthenticated):
        await key_set.key("old", "RS256")


async def test_made_up_key_ids_do_not_make_cohort_ask_again_and_again() -> None:
    server = Server(member(RSA, "RS256", "r"))
    key_set = KeySet(server.read, lambda: server.now)
    await key_set.key("r", "RS256")
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await key_set.key(f"made up {number}", "RS256")
    assert server.asked == 1
    server.now += SOONEST + 1
    many = await asyncio.gather(
        *(key_set.key(f"made up {n}", "RS256") for n in range(50)), return_exceptions=True
    )
    assert {type(one) for one in many} == {Unauthenticated}
    assert server.asked == 2, "all that ask at the same moment share one reading"


async def test_while_the_identity_server_is_away_its_last_keys_hold_for_a_day() -> None:
    server = Server(member(RSA, "RS256", "r"))
    key_set = KeySet(server.read, lambda: server.now)
    await key_set.key("r", "RS256")
    server.away = True
    server.now += KEPT + 1
    assert await key_set.key("r", "RS256"), "nobody waits for the new set"
    while server.asked < 2:
        await asyncio.sleep(0.001)
    server.now += USABLE
    with pytest.raises(StoreUnavailable):
        await key_set.key("r", "RS256")
    server.away, server.now = False, server.now + SOONEST + 1
    assert await key_set.key("r", "RS256")


async def test_a_set_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [member(ED, "EdDSA", "d")]}))
    settings = load_settings(
        jwks_url=file.as_uri(), jwt_algorithms=("EdDSA",), jwt_issuer="school", jwt_audience="cohort"
    )
    tokens = Tokens.of(settings)
    assert await tokens.viewer(signed(ED, "EdDSA", "d")) == Viewer("u")
    with pytest.raises(SettingsError, match="COHORT_JWT_KEY"):
        make_token(settings, "u", [], timedelta(hours=1))


async def test_a_set_is_fetched_from_its_one_host_and_no_redirection_leads_elsewhere() -> None:
    """The server that the token names in `jku` is not asked either."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split()[1])
        body = json.dumps({"keys": [member(RSA, "RS256", "r")]}).encode()
        if "/moved" in head:
            writer.write(
                b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/keys\r\nContent-Length: 0\r\n\r\n"
            )
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        good = KeySet.at(f"{base}/keys")
        assert await good.key("r", "RS256")
        with pytest.raises(StoreUnavailable):
            await KeySet.at(f"{base}/moved").key("r", "RS256")
        token = jwt.encode({"sub": "u"}, RSA, "RS256", headers={"kid": "x", "jku": f"{base}/evil"})
        tokens = Tokens((), good, ("RS256",), "school", "cohort", timedelta(0), "roles")
        with pytest.raises(Unauthenticated):
            await tokens.viewer(f"Bearer {token}")
    assert asked == ["/keys", "/moved"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "jwt_key"),
        ({"jwt_key": KEY, "jwt_algorithms": ("RS256",)}, "jwks_url"),
        ({"jwks_url": "file:///keys.json"}, "jwt_algorithms"),
        ({"jwks_url": "file:///keys.json", "jwt_algorithms": ("RS256", "HS256")}, "jwt_key"),
        ({"jwks_url": "file:///keys.json", "jwt_algorithms": ("RS256",)}, "jwt_issuer"),
        ({"jwks_url": "file:///keys.json", "jwt_algorithms": ("RS256",), "jwt_issuer": "i"}, "jwt_audience"),
    ],
)
def test_settings_that_let_no_token_hold_or_any_are_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_identity(load_settings(**given))
    assert refused.value.field == field


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/keys",
        "https://",
        "https://user@id.example/keys",
        "ftp://id.example/keys",
        "file:keys",
        "keys",
    ],
)
def test_keys_come_by_a_way_that_nobody_can_change(url: str) -> None:
    with pytest.raises(SettingsError, match="https://HOST/PATH"):
        load_settings(jwks_url=url)
