"""`cohort learners`: what is done about learners as a whole."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import instance, run

if TYPE_CHECKING:
    from loaders.session import Shared

app = typer.Typer(help="Delete all that a learner has, and list who was deleted.", no_args_is_help=True)


@app.command()
def erase(
    user: Annotated[str | None, typer.Argument(help="The learner's user id.")] = None,
    listed: Annotated[
        Path | None,
        typer.Option(help="All in this list of `cohort learners erased`; - for standard input."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all of a learner, for good: views, attempts, enrolments, figures, groups, profile, files.

    With --listed, who was erased here at the time in the list, or later, is passed over: after a restore, those are erased whom the
    backup still had.
    """
    if (user is None) == (listed is None):
        raise typer.BadParameter("name a learner, or a list with --listed")
    if user is not None:
        if not yes:
            typer.confirm(f"Delete all that {user} has, for good?", abort=True, err=True)
        run(_erase(user))
    elif listed is not None:
        wanted = _read_list(listed)
        if not yes:
            typer.confirm(
                f"Delete all that up to {len(wanted)} learners have, for good?", abort=True, err=True
            )
        run(_erase_listed(wanted))


@app.command()
def erased(
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only who was erased then or later; UTC. [default: all]",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
) -> None:
    """List who was deleted, and when: a line each, user id and time with a tab between.

    Keep the list beside your backups: they still have who was deleted after them.
    """

    async def main() -> None:
        from loaders.erasures import all_erased_learners
        from rules.moments import written

        async with instance() as cohort:
            async for user_id, erased_on in all_erased_learners(cohort.stores.rows):
                if since is None or erased_on >= since.replace(tzinfo=UTC):
                    typer.echo(f"{user_id}\t{written(erased_on)}")

    run(main())


async def _erase(user: str) -> None:
    from gateway.commands.progress import job_progress
    from ingest.jobs.erasure import erase_learner

    async with instance() as cohort:
        with job_progress() as tell:
            report = await erase_learner(cohort.shared, user, tell)
    typer.echo(
        f"{report.places} places with {report.views} views and {report.groups} groups deleted; "
        "the workers delete what they computed"
    )


async def _erase_listed(wanted: dict[str, datetime]) -> None:
    async with instance() as cohort:
        done = await _erase_missed(cohort.shared, wanted)
    typer.echo(
        f"{done} learners deleted, {len(wanted) - done} were already; the workers delete what they computed"
    )


async def _erase_missed(shared: "Shared", wanted: dict[str, datetime]) -> int:
    """Erases those whom no erasure of then or later is known of. Returns how many."""
    from ingest.jobs.erasure import erase_learner
    from loaders.erasures import erased_learners

    known = await erased_learners(shared.stores.rows, list(wanted))
    missed = [user for user, at in wanted.items() if user not in known or known[user] < at]
    for user in missed:
        await erase_learner(shared, user)
    return len(missed)


def _read_list(path: Path) -> dict[str, datetime]:
    """By user id: the last time in the list. InvalidInput names the line that is none of one."""
    from rules.errors import InvalidInput
    from rules.identifiers import checked_id

    text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    found: dict[str, datetime] = {}
    for number, line in enumerate(text.splitlines(), 1):
        user, _, told = line.partition("\t")
        try:
            at = datetime.fromisoformat(told)
            user = checked_id(user, "userId")
        except (ValueError, InvalidInput) as error:
            raise InvalidInput(
                f"line {number} is no user id, tab and time: {error}", field="listed"
            ) from None
        if at.tzinfo is None:
            raise InvalidInput(f"line {number}: {told} has no time zone, such as Z", field="listed")
        found[user] = max(at, found.get(user, at))
    return found
