"""A served Cohort in a supergraph: Apollo's composition and gateway, in Node (R-SUPER-1)."""

from pathlib import Path

import pytest

from tests.clients.conftest import Served
from tests.node import run_tests

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(300)]

TESTS = Path(__file__).parents[1] / "federation" / "supergraph.test.mjs"


@pytest.mark.parametrize("served", [{"COHORT_FEDERATION": "true"}], indirect=True)
def test_a_gateway_composes_cohort_with_another_subgraph_and_answers_from_both(served: Served) -> None:
    run_tests(TESTS, **served.environment)
