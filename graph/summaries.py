"""A learner's enrolments as a file."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from graph import enums
from graph.access import Access, to
from graph.errors import UserError, carry_out
from graph.fields import mutation
from graph.info import Info
from resolvers import summaries


@strawberry.type(
    description="A file of all enrolments of a learner, those that ended as well.",
    directives=[to(Access.WITH_OBJECT)],
)
class SummaryDownload:
    url: str = strawberry.field(
        description="Where the file is, for whoever has this link: pass it on to nobody. "
        "A path is one of this gateway."
    )
    format: enums.SummaryFormat = strawberry.field(description="What it is written in.")
    size: int = strawberry.field(description="Bytes.")
    rows: int = strawberry.field(description="Enrolments in it.")
    expires_on: datetime = strawberry.field(description="The link and the file are gone from then on.")

    @classmethod
    def of(cls, found: summaries.Download) -> Self:
        assert found.url is not None  # noqa: S101 - it was not asked for directly
        assert found.expires_on is not None  # noqa: S101
        return cls(
            url=found.url,
            format=found.format,
            size=found.size,
            rows=found.rows,
            expires_on=found.expires_on,
        )


@strawberry.input(description="What to write a file of.")
class DownloadSummaryInput:
    format: enums.SummaryFormat = strawberry.field(
        default=enums.SummaryFormat.JSON, description="What to write it in."
    )
    user_id: str | None = strawberry.field(
        default=None, description="Whose enrolments, for those who may see them; otherwise the caller's."
    )


@strawberry.type(description="What became of a call for a file.", directives=[to(Access.WITH_OBJECT)])
class SummaryDownloadPayload:
    download: SummaryDownload | None = strawberry.field(
        description="The file; null where the call was refused."
    )
    errors: list[UserError] = strawberry.field(
        description="Why the call was refused; empty where it was not."
    )


@strawberry.type
class SummaryMutations:
    @mutation(
        description="Writes all enrolments of a learner into a file and links to it. Only the learner, "
        "mentors, reporters, admins and services may.",
        access=Access.LEARNER,
    )
    async def download_summary(
        self,
        info: Info,
        call: Annotated[
            DownloadSummaryInput,
            strawberry.argument(name="input", description="Whose, and in which format."),
        ],
    ) -> SummaryDownloadPayload:
        found, errors = await carry_out(info, _download(info, call))
        return SummaryDownloadPayload(download=SummaryDownload.of(found) if found else None, errors=errors)


async def _download(info: Info, call: DownloadSummaryInput) -> summaries.Download:
    session = info.context
    user_id = session.viewer.known() if call.user_id is None else call.user_id
    return await summaries.download(session, user_id, call.format)
