"""Tokens: what is made is accepted, and nothing else."""

import base64
import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from gateway.http.on_behalf import FOR_HEADER
from gateway.identity import Tokens, make_token
from gateway.settings import Settings, SettingsError, load_settings
from rules.errors import Forbidden, InvalidInput, Unauthenticated
from rules.viewers import Role, Viewer
from stores.blob_links import BlobLinks
from tests.gateway.conftest import KEY, Serving

HOUR = timedelta(hours=1)
OURS = {"iss": "cohort", "aud": "cohort"}


def signed(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({**OURS, "sub": "u", "exp": int(time.time()) + 86_400, **claims}, key, algorithm)


async def test_a_token_gives_back_its_user_and_roles(settings: Settings) -> None:
    token = make_token(settings, "ada", [Role.MENTOR, Role.LEARNER], HOUR)
    viewer = await Tokens.of(settings).viewer(f"Bearer {token}")
    assert viewer == Viewer("ada", frozenset({Role.MENTOR, Role.LEARNER}))


async def test_without_a_header_the_viewer_is_nobody(settings: Settings) -> None:
    assert await Tokens.of(settings).viewer(None) == Viewer()


async def test_roles_of_other_systems_are_ignored_and_none_are_needed(settings: Settings) -> None:
    tokens = Tokens.of(settings)
    token = signed(roles=["admin", "janitor", 7])
    assert await tokens.viewer(f"bearer {token}") == Viewer("u", frozenset({Role.ADMIN}))
    assert await tokens.viewer(f"Bearer {signed()}") == Viewer("u")


def without_signature(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'u', 'exp': time.time() + 60, **claims})}."


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (signed(exp=int(time.time() - 10) - 1), "expired"),
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
        (jwt.encode({**OURS, "sub": "u"}, KEY), 'missing the "exp" claim'),
        (jwt.encode({**OURS, "exp": time.time() + 86_400}, KEY), 'missing the "sub" claim'),
        ("not.a.token", "does not hold"),
        ("", "must be: Bearer TOKEN"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused_and_says_why(
    settings: Settings, token: str, why: str
) -> None:
    with pytest.raises(Unauthenticated, match=why):
        await Tokens.of(settings).viewer(f"Bearer {token}")


def raw(claims: str) -> str:
    """Signed by who has the key, with whatever claims beside ours."""
    told = (
        claims.replace("{", '{"iss": "cohort", "aud": "cohort", ', 1) if claims.startswith('{"') else claims
    )
    return jwt.api_jws.encode(told.encode(), KEY, "HS256")


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
async def test_claims_of_other_kinds_are_a_token_that_does_not_hold(settings: Settings, name: str) -> None:
    """The second time as the first: nothing is remembered of it."""
    tokens = Tokens.of(settings)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match=r"the token (does not hold|has expired)"):
            await tokens.viewer(f"Bearer {ODD_TOKENS[name]}")


@pytest.mark.parametrize("exp", [LATER, f"{LATER}.5", "1e300", f"1{'0' * 400}"])
async def test_any_number_is_an_expiry(settings: Settings, exp: str) -> None:
    tokens, token = Tokens.of(settings), raw(f'{{"sub": "u", "exp": {exp}}}')
    for _ in range(2):
        assert await tokens.viewer(f"Bearer {token}") == Viewer("u")


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


async def test_another_scheme_is_not_taken_for_nobody(settings: Settings) -> None:
    with pytest.raises(Unauthenticated, match="must be: Bearer TOKEN"):
        await Tokens.of(settings).viewer("Basic dTpw")


async def test_issuer_and_audience_must_be_those_that_are_set() -> None:
    strict = load_settings(jwt_key=KEY, jwt_issuer="school", jwt_audience="learning")
    tokens = Tokens.of(strict)
    assert await tokens.viewer(f"Bearer {make_token(strict, 'u', [], HOUR)}") == Viewer("u")
    assert await tokens.viewer(f"Bearer {signed(iss='school', aud=['learning', 'more'])}") == Viewer("u")
    for claims in ({}, {"iss": "school"}, {"aud": "learning"}, {"iss": "other", "aud": "learning"}):
        with pytest.raises(Unauthenticated):
            await tokens.viewer(f"Bearer {signed(**claims)}")
    for left_out in ("iss", "aud"):
        claims = {name: value for name, value in OURS.items() if name != left_out}
        token = jwt.encode({**claims, "sub": "u", "exp": int(time.time()) + 60}, KEY)
        with pytest.raises(Unauthenticated, match=f'missing the "{left_out}" claim'):
            await Tokens.of(load_settings(jwt_key=KEY)).viewer(f"Bearer {token}")


async def test_clocks_may_differ_by_the_leeway(settings: Settings) -> None:
    late = signed(exp=int(time.time()) - 60)
    with pytest.raises(Unauthenticated, match="expired"):
        await Tokens.of(settings).viewer(f"Bearer {late}")
    assert await Tokens.of(load_settings(jwt_key=KEY, jwt_leeway=120)).viewer(f"Bearer {late}") == Viewer("u")


async def test_roles_may_be_where_the_identity_server_writes_them() -> None:
    within = load_settings(jwt_key=KEY, jwt_roles="realm_access.roles")
    tokens = Tokens.of(within)
    made = make_token(within, "u", [Role.ADMIN], HOUR)
    assert await tokens.viewer(f"Bearer {made}") == Viewer("u", frozenset({Role.ADMIN}))
    assert await tokens.viewer(f"Bearer {signed(roles=['admin'])}") == Viewer("u"), "another claim"
    wrong: Any
    for wrong in ("admin", {"roles": "admin"}, {"roles": {}}, []):
        with pytest.raises(Unauthenticated, match=r"realm_access\.roles must be a list"):
            await tokens.viewer(f"Bearer {signed(realm_access=wrong)}")


async def test_tokens_of_a_former_key_hold_until_it_is_taken_out(settings: Settings) -> None:
    """How a key is changed: the new one signs, the old one still verifies."""
    old, new = make_token(settings, "u", [], HOUR), "n" * 32
    both = load_settings(jwt_key=new, jwt_former_keys=(KEY,))
    tokens = Tokens.of(both)
    assert await tokens.viewer(f"Bearer {old}") == Viewer("u")
    assert await tokens.viewer(f"Bearer {make_token(both, 'v', [], HOUR)}") == Viewer("v")
    for token in (old, signed("x" * 32)):
        with pytest.raises(Unauthenticated, match="Signature verification failed"):
            await Tokens.of(load_settings(jwt_key=new)).viewer(f"Bearer {token}")
    links = BlobLinks([KEY]), BlobLinks([new, KEY]), BlobLinks([new])
    given = parse_qs(urlsplit(links[0].url("a.csv", HOUR)).query)
    query = {name: value for name, (value,) in given.items()}
    links[1].check("a.csv", **query)
    with pytest.raises(Forbidden):
        links[2].check("a.csv", **query)


def managed(child: str = "kid", parent: str | None = "ann", **claims: Any) -> str:
    return signed(sub=child, **({} if parent is None else {"parentId": parent}), **claims)


async def test_a_parent_acts_for_a_managed_user_and_for_nobody_else(settings: Settings) -> None:
    tokens = Tokens.of(settings)
    ann = f"Bearer {signed(sub='ann', roles=['admin'])}"
    assert await tokens.viewer(ann, managed()) == Viewer("kid"), "with no role of the parent"
    for other in (managed(parent="bob"), managed(parent=None), signed(sub="kid", parentId=7)):
        with pytest.raises(Forbidden, match="another's"):
            await tokens.viewer(ann, other)
    for broken in (managed(exp=1), managed()[:-4] + "AAAA", "a.b.c"):
        with pytest.raises(Unauthenticated):
            await tokens.viewer(ann, broken)
    with pytest.raises(Unauthenticated, match="beside the caller's own"):
        await tokens.viewer(f"Bearer {managed()}")
    with pytest.raises(Unauthenticated):
        await tokens.viewer(None, managed())


async def test_a_managed_user_is_the_learner_of_graphql_and_of_the_platforms_calls(
    settings: Settings, serving: Serving
) -> None:
    headers = {"Authorization": f"Bearer {signed(sub='ann')}", FOR_HEADER: managed()}
    async with serving(settings) as client:
        told = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=headers)
        assert told.json() == {"data": {"me": {"userId": "kid"}}}
        read = {"request": {"userId": "kid", "collectionId": "none", "contentId": "none"}}
        mine = await client.post("/v1/view/read", json=read, headers=headers)
        assert mine.status_code not in (401, 403)
        theirs = {"request": {**read["request"], "userId": "bob"}}
        assert (await client.post("/v1/view/read", json=theirs, headers=headers)).status_code == 401
        named = await client.post(
            "/graphql", json={"query": "{ me { userId } }"}, headers={**headers, FOR_HEADER: "kid"}
        )
        assert (named.status_code, named.json()["errors"][0]["extensions"]["field"]) == (400, FOR_HEADER)


def test_a_token_needs_a_user_a_life_and_a_key(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="blank"):
        make_token(settings, " ", [], HOUR)
    with pytest.raises(InvalidInput, match="longer"):
        make_token(settings, "u", [], timedelta(0))
    with pytest.raises(SettingsError, match="COHORT_JWT_KEY"):
        make_token(load_settings(), "u", [], HOUR)
