"""Files for download: those of the blob store that is a directory, for who has a link, and a learner's summary itself."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from gateway.settings import Settings
from gateway.wiring import Cohort, links_of
from resolvers.summaries import SummaryFormat, download
from rules.errors import NotFound
from stores.blob_links import PATH
from stores.blobs import file_name, media_type

SUMMARY = "/learners/{user_id:path}/summary.{format}"


def blob_routes(settings: Settings) -> Sequence[BaseRoute]:
    """An object store serves its files itself."""
    links = links_of(settings)
    summary_file = Route(SUMMARY, _summary_file)
    if links is None or not settings.blobs.startswith("file:"):
        return (summary_file,)

    async def blob(request: Request) -> Response:
        """The signature is all that is asked for."""
        name = request.path_params["name"]
        query = request.query_params
        links.check(name, query.get("expires", ""), query.get("signature", ""))
        cohort: Cohort = request.app.state.cohort
        found = await cohort.stores.blobs.find(name)
        if found is None:
            raise NotFound("this file is gone", field="name")
        headers = _headers(name) | {"Content-Length": str(found.size)}
        return StreamingResponse(cohort.stores.blobs.get(name), media_type=media_type(name), headers=headers)

    return (Route(f"{PATH}/{{name:path}}", blob), summary_file)


async def _summary_file(request: Request) -> Response:
    """With a bearer token: the file where it is small, or else the way to it. NotFound for another format."""
    known = {format_.value: format_ for format_ in SummaryFormat}
    wanted = known.get(request.path_params["format"])
    if wanted is None:
        raise NotFound(f"a summary is written as one of {', '.join(known)}", field="format")
    cohort: Cohort = request.app.state.cohort
    session = cohort.session_of(request)
    found = await download(session, request.path_params["user_id"], wanted, direct=True)
    name = f"summary.{wanted.value}"
    if found.url is not None:
        return RedirectResponse(found.url, HTTPStatus.SEE_OTHER, {"Cache-Control": "private, no-store"})
    return Response(found.content, media_type=media_type(name), headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    """Saved, not shown; kept by nobody on the way, and its address told to nobody."""
    return {
        "Content-Disposition": f'attachment; filename="{file_name(name)}"',
        "Cache-Control": "private, no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
