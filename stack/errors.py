"""Errors, in words for the person who typed the command."""


class StackError(Exception):
    """Something is wrong; the message says what, and what to do about it."""

    exit_code = 1


class MissingProgram(StackError):
    """A program has to be installed first. Nothing was started."""

    exit_code = 2


class ServersFailed(StackError):
    """Some servers did not start: for each the reason and the end of its log. The others run on."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__("\n\n".join(f"{name}: {why}" for name, why in failures.items()))
        self.failures = failures
