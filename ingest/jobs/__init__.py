"""Everything long: the runner, and one module a kind."""
