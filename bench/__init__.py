"""Benchmarks: `scripts/bench [embedded|real]` prints each figure beside its floor, measured in the same run."""
