"""Everything long: the runner, and one module for each kind of job."""
