"""The attempt takers: from a submission in the log to an attempt's rows, and to a trigger for the workers (R-ASSESS-3)."""
