"""The workers: from a trigger to aggregates, enrolments and states."""
