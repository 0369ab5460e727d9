"""The names that a client gives are labels only if they are asked for often, and never many."""

from telemetry.operations import MOST, OFTEN, OTHER, OperationNames


def test_a_name_is_a_label_once_it_was_asked_for_often() -> None:
    names = OperationNames()
    assert [names.label("HomePage") for _ in range(OFTEN)] == [OTHER] * (OFTEN - 1) + ["HomePage"]
    assert names.label("HomePage") == "HomePage"


def test_made_up_names_are_no_labels() -> None:
    names = OperationNames()
    assert {names.label(f"Q{number}") for number in range(10_000)} == {OTHER}


def test_there_are_never_more_labels_than_most() -> None:
    names = OperationNames(frozenset({"Trusted"}))
    found = {names.label(f"Q{number % 500}") for number in range(500 * OFTEN)}
    assert len(found - {OTHER}) == MOST - 1
    assert names.label("Trusted") == "Trusted"


def test_an_operation_without_a_name_is_one_of_the_others() -> None:
    names = OperationNames()
    assert {names.label("") for _ in range(2 * OFTEN)} == {OTHER}
