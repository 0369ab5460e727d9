"""The domain: pure functions and dataclasses. No I/O and no clock; the time is an argument."""
