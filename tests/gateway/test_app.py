"""The application: health, limits, errors, identity at its edge."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.app import create_app
from gateway.identity import make_token
from gateway.settings import Settings, SettingsError, load_settings
from loaders.answers import AnswerOrigin
from rules.errors import Conflict, DeadlineExceeded, Forbidden, StoreUnavailable
from rules.viewers import Role
from stores.deadline import remaining
from tests.gateway.conftest import KEY, Serving


async def test_it_is_alive_and_ready(settings: Settings, serving: Serving) -> None:
    async with serving(settings) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        ready = await client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "stores": dict.fromkeys(["rows", "events", "cache", "groups", "blobs", "search"], "ready"),
        "answers": {"hits": 0, "misses": 0, "flights": 0, "shared": 0, "stale": 0},
    }


@pytest.mark.parametrize("kind", ["rows", "events", "cache", "groups", "blobs", "search"])
@pytest.mark.parametrize("dev", [False, True])
async def test_readiness_names_the_store_that_is_away_and_fails_for_the_rows_alone(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, kind: str, dev: bool
) -> None:
    async def away(_self: object) -> None:
        raise StoreUnavailable("server-7 does not answer")

    async with serving(load_settings(jwt_key=KEY, dev=dev)) as client:
        stores = client.app.state.cohort.stores  # type: ignore[attr-defined]
        monkeypatch.setattr(type(getattr(stores, kind)), "ping", away)
        answer = await client.get("/health/ready")
        monkeypatch.undo()
        assert (await client.get("/health/live")).status_code == 200
    told = answer.json()
    expected = (503, "unavailable") if kind == "rows" else (200, "ready")
    assert (answer.status_code, told["status"]) == expected
    assert [name for name, how in told["stores"].items() if how != "ready"] == [kind]
    assert ("server-7" in answer.text) == dev, "why is for whoever runs it, not for everybody"
    assert ("worker" in told) == dev


async def test_settings_say_how_long_an_answer_is_given_again_and_how_long_it_is_kept(
    serving: Serving,
) -> None:
    async def compute() -> bytes:
        return b"1"

    async def away() -> bytes:
        raise StoreUnavailable("away")

    async with serving(load_settings(jwt_key=KEY, answers_ttl=0, answers_kept=0.2)) as client:
        answers = client.app.state.cohort.shared.answers  # type: ignore[attr-defined]
        assert (await answers.answer("a", compute)).origin is AnswerOrigin.COMPUTED
        assert (await answers.answer("a", compute)).origin is AnswerOrigin.COMPUTED
        await asyncio.sleep(0.3)
        with pytest.raises(StoreUnavailable):
            await answers.answer("a", away)
    async with serving(load_settings(jwt_key=KEY)) as client:
        answers = client.app.state.cohort.shared.answers  # type: ignore[attr-defined]
        assert (await answers.answer("a", compute)).origin is AnswerOrigin.COMPUTED
        assert (await answers.answer("a", away)).origin is AnswerOrigin.CACHED


async def test_a_token_decides_who_asks(settings: Settings, serving: Serving) -> None:
    async def ask(client: httpx.AsyncClient, token: str | None) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=headers)

    async with serving(settings) as client:
        known = await ask(client, make_token(settings, "ada", [Role.LEARNER], timedelta(hours=1)))
        assert known.json() == {"data": {"me": {"userId": "ada"}}}
        broken = await ask(client, "broken")
        assert broken.status_code == 401
        assert broken.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert "data" not in broken.json()
        nobody = await ask(client, None)
        assert nobody.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_errors_outside_graphql_are_json_without_stack_traces(
    settings: Settings, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    errors = {
        "forbidden": (Forbidden("not you"), 403, "FORBIDDEN"),
        "away": (
            StoreUnavailable("rows are away", detail="/srv/rows.db: a secret"),
            503,
            "STORE_UNAVAILABLE",
        ),
        "late": (DeadlineExceeded("too late"), 504, "DEADLINE_EXCEEDED"),
        "conflict": (Conflict("others were faster"), 409, "CONFLICT"),
        "fault": (RuntimeError("a secret"), 500, "INTERNAL_ERROR"),
    }

    async def fail(request: Request) -> Response:
        raise errors[request.path_params["name"]][0]

    async with serving(settings) as client:
        client.app.router.routes.append(Route("/fail/{name}", fail))  # type: ignore[attr-defined]
        for name, (_, status, code) in errors.items():
            answer = await client.get(f"/fail/{name}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert "Traceback" not in answer.text
            assert "a secret" not in answer.text
        assert "rows are away: /srv/rows.db: a secret" in caplog.text
        missing = await client.get("/nowhere")
        assert missing.json() == {"error": {"code": "NOT_FOUND", "message": "Not Found"}}
        assert (await client.post("/health/live")).json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_nobody_is_sent_to_a_host_that_the_client_named(settings: Settings, serving: Serving) -> None:
    """Caches and victims would follow it: a slash too many is a path that is not there."""
    async with serving(settings) as client:
        for path in ("/graphql/", "/health/live/", "/metrics/table/"):
            answer = await client.get(path, headers={"Host": "evil.example"})
            assert answer.status_code == 404, path
            assert "evil" not in str(answer.headers) + answer.text


async def test_a_body_that_is_too_large_is_refused(serving: Serving) -> None:
    async def pieces(count: int):  # type: ignore[no-untyped-def]
        for _ in range(count):
            yield b" " * 50

    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async with serving(load_settings(jwt_key=KEY, largest_body=100)) as client:
        client.app.router.routes.append(Route("/echo", echo, methods=["POST"]))  # type: ignore[attr-defined]
        assert (await client.post("/echo", content=b" " * 100)).text == "100"
        assert (await client.post("/echo", content=pieces(2))).text == "100"
        for body in (b" " * 101, pieces(3)):
            refused = await client.post("/echo", content=body)
            assert refused.status_code == 413
            assert "100 bytes" in refused.json()["error"]["message"]
        for body in (b" " * 101, pieces(3)):
            refused = await client.post(
                "/graphql", content=body, headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == 413
            assert "100 bytes" in refused.json()["errors"][0]["message"], "in the shape of GraphQL"
        told_wrongly = await client.post("/echo", content=b"", headers={"Content-Length": "-1"})
        assert told_wrongly.status_code == 413


async def test_a_request_has_a_deadline_for_its_stores(serving: Serving) -> None:
    async def left(_request: Request) -> Response:
        return PlainTextResponse(str(remaining(3600)))

    async with serving(load_settings(jwt_key=KEY, request_timeout=5)) as client:
        client.app.router.routes.append(Route("/left", left))  # type: ignore[attr-defined]
        assert 4 < float((await client.get("/left")).text) <= 5


def test_it_does_not_start_without_a_key() -> None:
    with pytest.raises(SettingsError, match="COHORT_JWT_KEY is not set"):
        create_app(load_settings())


async def test_it_does_not_start_before_init(settings: Settings) -> None:
    app = create_app(settings)
    with pytest.raises(SettingsError, match="run `cohort init`"):
        async with app.router.lifespan_context(app):
            pass


async def test_a_path_with_the_end_of_a_line_is_told_in_the_shape_of_its_neighbours(
    settings: Settings, serving: Serving
) -> None:
    async with serving(settings) as client:
        answer = await client.get("/course/v1/user/enrollment/list/a%0Ab")
        assert (answer.status_code, answer.json()["id"]) == (404, "api.error")
