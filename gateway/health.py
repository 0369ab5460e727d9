"""Health checks: is the process alive, and can it take requests?"""

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.http.admission import Admission
from gateway.starting import NotOpen
from gateway.wiring import Cohort
from stores.deadline import deadline

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a store may take to answer."""
NO_STORE = {"Cache-Control": "no-store"}

DECIDING = "rows"
"""The kind of store that must be there: without it nothing can be answered."""


async def live(_request: Request) -> JSONResponse:
    """200 as long as the process answers, whatever its stores do: a restart would not bring those back."""
    return JSONResponse({"status": "live"}, headers=NO_STORE)


async def ready(request: Request) -> JSONResponse:
    """Which kinds of stores are there; 503 if the rows are away. The log says why, and in dev the answer too.

    The other stores are shown and do not decide: without the cache every answer is still right, without the log every
    read is, and without a worker every answer is. ``answers`` counts since the start (loaders/answers.py).

    It is also 503 for a process that is told to stop, or has refused requests for some time: others should get what comes.
    """
    cohort: Cohort | NotOpen = request.app.state.cohort
    admission: Admission = request.app.state.admission
    if request.app.state.stopping.begun or isinstance(cohort, NotOpen):
        status = "stopping" if request.app.state.stopping.begun else "starting"
        return JSONResponse({"status": status}, HTTPStatus.SERVICE_UNAVAILABLE, headers=NO_STORE)
    looks: Looks = request.app.state.looks
    stores = await looks.at(cohort)
    for kind, why in stores.items():
        if why is not None:
            log.warning("%s is away: %s", kind, why)
    has_rows = stores.get(DECIDING) is None and DECIDING in stores
    is_ready = has_rows and not admission.is_overloaded
    told = {kind: _told(why, detailed=cohort.settings.dev) for kind, why in stores.items()}
    answer: dict[str, object] = {
        "status": "ready" if is_ready else "overloaded" if has_rows else "unavailable",
        "stores": told,
        "answers": cohort.shared.answers.counts(),
    }
    for name, member in (("worker", cohort.worker), ("attempt_taker", cohort.attempt_taker)):
        if member is not None:
            answer[name] = {"status": member.failure or "running", "restarts": member.restarts}
    return JSONResponse(
        answer, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, headers=NO_STORE
    )


class Looks:
    """Looks at the stores, one after the other: who asks while they are looked at gets what is found then. So they are asked
    no more often than they answer, however often somebody asks, who needs no token for it."""

    def __init__(self) -> None:
        self._under_way: asyncio.Task[dict[str, str | None]] | None = None

    async def at(self, cohort: Cohort) -> Mapping[str, str | None]:
        """Why each kind of store is away; None for one that is there."""
        if self._under_way is None or self._under_way.done():
            # In a context of its own: it is nobody's request.
            self._under_way = asyncio.create_task(_stores(cohort), context=Context())
        return await asyncio.shield(self._under_way)


async def _stores(cohort: Cohort) -> dict[str, str | None]:
    with deadline(PATIENCE):
        try:
            async with asyncio.timeout(
                PATIENCE * 2
            ):  # the stores keep to the deadline, unless one has a fault
                return await cohort.stores.ping()
        except TimeoutError:
            return {"stores": f"no answer within {PATIENCE * 2:.0f} s"}


def _told(why: str | None, *, detailed: bool) -> str:
    if why is None:
        return "ready"
    return f"away: {why}" if detailed else "away"
