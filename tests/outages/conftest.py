"""As in tests/gateway: nothing of whoever runs it is set."""

from tests.gateway.conftest import _nothing_set

__all__ = ["_nothing_set"]
