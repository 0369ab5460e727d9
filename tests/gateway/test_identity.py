"""Tokens: what is made is accepted, and nothing else."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest

from gateway.identity import LEEWAY, Tokens, make_token
from gateway.settings import Settings, SettingsError, load_settings
from rules.errors import InvalidInput, Unauthenticated
from rules.viewers import Role, Viewer
from tests.gateway.conftest import KEY, Serving

HOUR = timedelta(hours=1)


def signed(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "u", "exp": int(time.time()) + 86_400, **claims}, key, algorithm)


def test_a_token_gives_back_its_user_and_roles(settings: Settings) -> None:
    token = make_token(settings, "ada", [Role.MENTOR, Role.LEARNER], HOUR)
    viewer = Tokens.of(settings).viewer(f"Bearer {token}")
    assert viewer == Viewer("ada", frozenset({Role.MENTOR, Role.LEARNER}))


def test_without_a_header_the_viewer_is_nobody(settings: Settings) -> None:
    assert Tokens.of(settings).viewer(None) == Viewer()


def test_roles_of_other_systems_are_ignored_and_none_are_needed(settings: Settings) -> None:
    tokens = Tokens.of(settings)
    token = signed(roles=["admin", "janitor", 7])
    assert tokens.viewer(f"bearer {token}") == Viewer("u", frozenset({Role.ADMIN}))
    assert tokens.viewer(f"Bearer {signed()}") == Viewer("u")


def without_signature(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'u', 'exp': time.time() + 60, **claims})}."


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (signed(exp=int(time.time() - LEEWAY.total_seconds()) - 1), "expired"),
        (signed("another key, just as long as ours"), "Signature verification failed"),
        (signed("k" * 64, "HS512"), "alg"),
        pytest.param(without_signature(), "alg", id="no signature"),
        (without_signature(roles=["admin"]), "alg"),
        (signed(sub=" "), "sub must not be blank"),
        (signed(sub=" ada"), "sub must not begin or end with space"),
        (signed(sub="a\nb"), "sub must not hold control characters"),
        (signed(sub=7), "[Ss]ubject must be a string"),
        (signed(roles="admin"), "roles must be a list"),
        (signed(nbf=int(time.time()) + 80_000), "not yet valid"),
        (jwt.encode({"sub": "u"}, KEY), 'missing the "exp" claim'),
        (jwt.encode({"exp": time.time() + 86_400}, KEY), 'missing the "sub" claim'),
        ("not.a.token", "does not hold"),
        ("", "must be: Bearer TOKEN"),
    ],
)
def test_a_token_that_does_not_hold_is_refused_and_says_why(settings: Settings, token: str, why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        Tokens.of(settings).viewer(f"Bearer {token}")


def raw(claims: str) -> str:
    """Signed by who has the key, with whatever claims."""
    return jwt.api_jws.encode(claims.encode(), KEY, "HS256")


LATER = "4102444800"
"""2100-01-01."""
ODD = [
    "null",
    "true",
    "[]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    '"soon"',
    f'"{LATER}"',
    "[" * 5_000,
]
ODD_TOKENS = {
    **{f"exp {value:.20}": raw(f'{{"sub": "u", "exp": {value}}}') for value in (*ODD, "-1", "-1e308", "0")},
    **{
        f"{name} {value:.20}": raw(f'{{"sub": "u", "exp": {LATER}, "{name}": {value}}}')
        for name in ("iat", "nbf")
        for value in ODD
    },
    **{
        f"sub {value:.20}": raw(f'{{"sub": {value}, "exp": {LATER}}}')
        for value in ("null", "7", "true", "[]", '["u"]', "{}", '{"u": "u"}', '""', '"\\ud800"')
    },
    **{
        f"roles {value:.20}": raw(f'{{"sub": "u", "exp": {LATER}, "roles": {value}}}')
        for value in ("null", "7", '"admin"', '{"admin": true}')
    },
    **{f"claims {claims:.20}": raw(claims) for claims in ("", "null", "[]", '"u"', "7", "{", "[" * 50_000)},
    **{
        f"header {header:.20}": f"{base64.urlsafe_b64encode(header.encode()).decode().rstrip('=')}.{signed().partition('.')[2]}"
        for header in ("[" * 50_000, "[]", '{"alg": []}', '{"alg": {}}', '{"alg": "HS256", "kid": 7}')
    },
}


@pytest.mark.parametrize("name", ODD_TOKENS)
def test_claims_of_other_kinds_are_a_token_that_does_not_hold(settings: Settings, name: str) -> None:
    """The second time as the first: nothing is remembered of it."""
    tokens = Tokens.of(settings)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match=r"the token (does not hold|has expired)"):
            tokens.viewer(f"Bearer {ODD_TOKENS[name]}")


@pytest.mark.parametrize("exp", [LATER, f"{LATER}.5", "1e300", f"1{'0' * 400}"])
def test_any_number_is_an_expiry(settings: Settings, exp: str) -> None:
    tokens, token = Tokens.of(settings), raw(f'{{"sub": "u", "exp": {exp}}}')
    for _ in range(2):
        assert tokens.viewer(f"Bearer {token}") == Viewer("u")


async def test_over_http_it_is_a_401_wherever_it_is_sent(settings: Settings, serving: Serving) -> None:
    token = raw(f'{{"sub": "u", "exp": "{LATER}"}}')
    headers = {"Authorization": f"Bearer {token}"}
    async with serving(settings) as client:
        for _ in range(2):
            told = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=headers)
            assert (told.status_code, told.json()["errors"][0]["extensions"]["code"]) == (
                401,
                "UNAUTHENTICATED",
            )
            told = await client.get("/v1/group/read/g", headers=headers)
            assert (told.status_code, told.json()["params"]["err"]) == (401, "GS_UNAUTHORIZED")


def test_another_scheme_is_not_taken_for_nobody(settings: Settings) -> None:
    with pytest.raises(Unauthenticated, match="must be: Bearer TOKEN"):
        Tokens.of(settings).viewer("Basic dTpw")


def test_issuer_and_audience_count_where_they_are_set() -> None:
    strict = load_settings(jwt_key=KEY, jwt_issuer="school", jwt_audience="cohort")
    tokens = Tokens.of(strict)
    assert tokens.viewer(f"Bearer {make_token(strict, 'u', [], HOUR)}") == Viewer("u")
    for claims in ({}, {"iss": "school"}, {"aud": "cohort"}, {"iss": "other", "aud": "cohort"}):
        with pytest.raises(Unauthenticated):
            tokens.viewer(f"Bearer {signed(**claims)}")
    assert Tokens.of(load_settings(jwt_key=KEY)).viewer(f"Bearer {signed(aud='any', iss='any')}") == Viewer(
        "u"
    )


def test_a_token_needs_a_user_a_life_and_a_key(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="blank"):
        make_token(settings, " ", [], HOUR)
    with pytest.raises(InvalidInput, match="longer"):
        make_token(settings, "u", [], timedelta(0))
    with pytest.raises(SettingsError, match="COHORT_JWT_KEY"):
        make_token(load_settings(), "u", [], HOUR)
