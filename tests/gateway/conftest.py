"""Settings of a test's own: no file, no variable and no directory of whoever runs it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from gateway import health
from gateway.app import create_app
from gateway.settings import Settings, load_settings
from gateway.wiring import initialise, opened
from loaders.session import Shared
from stores.cache_embedded import NOTICE
from tests.cache_server import share_cache_server
from tests.conftest import Filling, Instance

KEY = "k" * 32


def http_scope(method: str, path: str, **headers: str) -> dict[str, Any]:
    """Of a request that a test sends to an application itself; ``_`` in a header's name is a hyphen."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "server": ("test", 80),
        "client": ("test", 1),
    }


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("COHORT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _ready_however_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store is away because the machine is slow."""
    monkeypatch.setattr(health, "PATIENCE", 60.0)


@pytest.fixture
def settings() -> Settings:
    return _settings().model_copy()


@cache
def _settings() -> Settings:
    """Read once, as that takes longer than many tests; no variable and no file says otherwise in another test."""
    return load_settings(jwt_key=KEY)


_made: dict[tuple[bool, Filling | None], TemporaryDirectory[str]] = {}


async def copy_data(settings: Settings, *, course: bool = False, fill: Filling | None = None) -> None:
    """Gives it the data of an instance of which nothing but `cohort init` is known, or with the course and what ``fill``
    adds. They are made once."""
    if (course, fill) not in _made:
        folder = TemporaryDirectory()
        instance = Instance({}, Path(folder.name, "data"))
        async with opened(load_settings(jwt_key=KEY, data=instance.data)) as stores:
            await initialise(stores)
            instance.shared = Shared.of(stores)
            if course:
                await instance.publish_course()
            if fill is not None:
                await fill(instance)
            await instance.shared.background.settled()
        _made[course, fill] = folder
    source = Path(_made[course, fill].name, "data")
    await asyncio.to_thread(shutil.copytree, source, settings.data, ignore=shutil.ignore_patterns(NOTICE))
    share_cache_server(settings.data)


@pytest.fixture
def initialised() -> None:
    """What `cohort init` leaves in the folder in which commands work here."""
    asyncio.run(copy_data(load_settings()))


Serving = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serving() -> Serving:
    """An application on embedded engines under its own lifespan, and a client of it."""

    @asynccontextmanager
    async def serve(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
        if not settings.data.exists():
            await copy_data(settings)
        app = create_app(settings)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://cohort") as client,
        ):
            client.app = app  # type: ignore[attr-defined]
            yield client

    return serve


ServedAfter = Callable[[Filling | None], AbstractAsyncContextManager[Any]]


@pytest.fixture
def served_after(settings: Settings, serving: Serving, tmp_path: Path) -> ServedAfter:
    """As ``served``, after what fills it, which is done once in a process of tests."""

    @asynccontextmanager
    async def serve(fill: Filling | None) -> AsyncIterator[Any]:
        await copy_data(settings, course=True, fill=fill)
        async with serving(settings) as client:
            instance: Any = Instance({}, tmp_path)
            instance.client = client
            instance.shared = client.app.state.cohort.shared  # type: ignore[attr-defined]
            instance.has_course = True
            yield instance

    return serve


@pytest.fixture
async def served(served_after: ServedAfter) -> AsyncIterator[Any]:
    """An instance with COURSE and one batch that is always open, and ``client``, which asks it over HTTP."""
    async with served_after(None) as instance:
        yield instance
