"""What can go wrong, in words for the person who typed the command."""


class StackError(Exception):
    """Something is wrong; the message says what, and what to do about it."""

    exit_code = 1


class MissingProgram(StackError):
    """A program that has to be installed first: nothing was started."""

    exit_code = 2


class ServersFailed(StackError):
    """Some servers did not come up: for each, why, and the end of its log. The others run on."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__("\n\n".join(f"{name}: {why}" for name, why in failures.items()))
        self.failures = failures
