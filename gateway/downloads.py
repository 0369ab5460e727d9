"""Downloads: the files of a blob store that is a directory, for whoever has a link; a learner's summary; packages."""

import re
from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from gateway.http.admission import slot_for
from gateway.http.costs import bill_of_request
from gateway.http.rates import charge_begun
from gateway.rest.framework.prices import ENROLMENTS
from gateway.settings import Settings
from gateway.wiring import Cohort, links_of
from resolvers.nouns import billed_to
from resolvers.packages import PATH as PACKAGES
from resolvers.packages import PackageVariant, package_link
from resolvers.summaries import SummaryFormat, download
from rules.errors import NotFound
from rules.viewers import Viewer
from stores.blob_links import PATH
from stores.blobs import file_name, media_type

SUMMARY = "/learners/{user_id:path}/summary.{format}"
PACKAGE = f"{PACKAGES}/{{identifier:path}}/{{version}}/{{variant}}"
VERSION = re.compile("[0-9]{1,9}")


def download_routes(settings: Settings) -> Sequence[BaseRoute]:
    """The routes of downloads. There is none for the files of an object store, which serves them itself."""
    links = links_of(settings)
    everywhere = (Route(SUMMARY, _summary_file), Route(PACKAGE, _package))
    if links is None or not settings.blobs.startswith("file:"):
        return everywhere

    async def blob(request: Request) -> Response:
        """The file, for every request that has the link's signature."""
        name = request.path_params["name"]
        query = request.query_params
        links.check(name, query.get("expires", ""), query.get("signature", ""))
        cohort: Cohort = request.app.state.cohort
        found = await cohort.stores.blobs.find(name)
        if found is None:
            raise NotFound("this file is gone", field="name")
        headers = _headers(name) | {"Content-Length": str(found.size)}
        return StreamingResponse(cohort.stores.blobs.get(name), media_type=media_type(name), headers=headers)

    return (Route(f"{PATH}/{{name:path}}", blob), *everywhere)


async def _summary_file(request: Request) -> Response:
    """The file if it is small, or else a redirection to it; with a bearer token. NotFound for an unknown format."""
    known = {format_.value: format_ for format_ in SummaryFormat}
    wanted = known.get(request.path_params["format"])
    if wanted is None:
        raise NotFound(f"a summary is written as one of {', '.join(known)}", field="format")
    cohort: Cohort = request.app.state.cohort
    session = await cohort.session_of(request)
    bill_of_request(request, session.bill)
    session.bill.expect(ENROLMENTS.once)
    async with slot_for(request, session.viewer):
        with billed_to(session.bill):
            found = await download(session, request.path_params["user_id"], wanted, direct=True)
    name = f"summary.{wanted.value}"
    if found.url is not None:
        return RedirectResponse(found.url, HTTPStatus.SEE_OTHER, {"Cache-Control": "private, no-store"})
    return Response(found.content, media_type=media_type(name), headers=_headers(name))


async def _package(request: Request) -> Response:
    """A redirection to the package, by a link that was signed just now. Without a token: this URL stands in metadata,
    and clients give it to the system's downloader, which has none (D-PACKAGES)."""
    known = {variant.value: variant for variant in PackageVariant}
    wanted = known.get(request.path_params["variant"])
    if wanted is None:
        raise NotFound(f"a package is one of {', '.join(known)}", field="variant")
    version = request.path_params["version"]
    if not VERSION.fullmatch(version):
        raise NotFound("a version is a whole number", field="version")
    charge_begun(request, Viewer())
    cohort: Cohort = request.app.state.cohort
    found = await package_link(cohort.shared, request.path_params["identifier"], int(version), wanted)
    return RedirectResponse(found.url, HTTPStatus.FOUND, {"Cache-Control": "no-store"})


def _headers(name: str) -> dict[str, str]:
    """Headers by which a browser saves the file and does not show it, no cache keeps it, and no other site gets its URL."""
    return {
        "Content-Disposition": f'attachment; filename="{file_name(name)}"',
        "Cache-Control": "private, no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
