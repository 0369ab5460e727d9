"""Cohort beside what one would write oneself: the same documents over the same rows, answered by servers in Node and by
Strawberry as its documentation shows it. ``scripts/bench peers``."""
