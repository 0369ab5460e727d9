"""What a request costs at its stores is on its bill, and on nobody else's. Each engine counts alike."""

import asyncio
from contextvars import Context

import pytest

from loaders.session import Shared
from loaders.shared import SharedLoader
from rules.errors import TooExpensive
from rules.prices import Budget, Price
from stores.bills import Bill, billed_context, billed_to, charge, check_bill
from stores.rows import In, Write
from stores.tables import ENROLMENTS, LEARNERS
from tests.conftest import Instance


async def test_reads_and_writes_count_the_partitions_that_they_are_in(cohort: Instance) -> None:
    rows, bill = cohort.stores.rows, Bill()

    async def of(begun: object) -> int:
        before = bill.partitions
        with billed_to(bill):
            await begun  # type: ignore[misc]
        return bill.partitions - before

    assert await of(rows.get(LEARNERS, ("a",))) == 1
    assert await of(rows.get_many(LEARNERS, [("a",), ("b",), ("a",)])) == 2
    enrolments = [("a", "c1", "x"), ("a", "c2", "x"), ("b", "c1", "x")]
    assert await of(rows.get_many(ENROLMENTS, enrolments)) == 2
    assert await of(rows.partition(ENROLMENTS, ("a",))) == 1
    assert await of(rows.partitions(ENROLMENTS, [("a",), ("b",), ("b",)])) == 2
    assert await of(rows.partitions(ENROLMENTS, [])) == 0
    writes = [Write(LEARNERS, (name,), {"name": "A"}) for name in ("a", "b", "a")]
    assert await of(rows.write(*writes)) == 2
    assert await of(rows.update_if(LEARNERS, ("a",), {"name": "B"}, [In("name", ("A",))])) == 1


async def test_work_of_no_request_is_on_no_bill(embedded: Instance) -> None:
    bill = Bill()
    with billed_to(bill):
        pass
    await embedded.stores.rows.get(LEARNERS, ("a",))
    check_bill()
    assert bill.actual == Price()


async def test_what_requests_share_is_paid_by_the_first_and_ended_for_nobody() -> None:
    """The loader is asked by a request that is over its budget and by one that is not: both are answered."""
    poor, rich = Bill(Budget(Price(1, 1, 1))), Bill()
    poor.partitions = 100

    async def load(keys: list[str]) -> list[str]:
        check_bill()
        charge(partitions=len(keys))
        return keys

    loader: SharedLoader[str, str] = SharedLoader(load, most=1_000, size=lambda *_: 1)

    async def ask(bill: Bill) -> str | None:
        with billed_to(bill):
            return await loader.load("a")

    assert [*await asyncio.gather(ask(poor), ask(rich))] == ["a", "a"]
    assert (poor.partitions, rich.partitions) == (101, 0)


async def test_a_command_that_has_begun_is_finished(embedded: Instance) -> None:
    bill = Bill(Budget(Price(1, 1, 1)))
    bill.partitions = 100

    async def command() -> str:
        check_bill()
        return "done"

    with billed_to(bill):
        assert await embedded.shared.background.finish(command()) == "done"
        with pytest.raises(TooExpensive):
            check_bill()


async def test_a_bill_without_a_bound_in_force_only_notes_that_it_is_over() -> None:
    bill = Bill(Budget(Price(1, 1, 1), enforced=False))
    bill.expect(Price(2))
    assert bill.over is not None
    assert bill.over.message.startswith("the request would cost 2 partitions")


def test_a_context_of_its_own_has_the_bill_and_nothing_else() -> None:
    bill = Bill()

    def work() -> None:
        charge(partitions=3)

    with billed_to(bill):
        context = billed_context(Context())
    context.run(work)
    assert bill.partitions == 3


def test_every_session_has_the_budget_of_its_instance(embedded: Instance) -> None:
    assert embedded.session("ann").bill.budget == Shared.of(embedded.stores).budget == Budget()
