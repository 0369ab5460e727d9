"""Exhausts: reports of all learners of a context, as files for download (R-ASSESS-6)."""
