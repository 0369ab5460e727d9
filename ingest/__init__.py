"""Everything that enters or changes state, in rooms. An arrow points only to a room further up in this list:

``writes``       how rows are changed beside others: retried conditions, announced views, triggers
``modes``        what the tracking modes add: carried keys, copies, moves
``calls``        finding the row that a caller names, and the protocol of an acknowledged call
``commands``     what a mutation or a call of the platform does, one module a noun
``workers``      consumer, one handler a kind of trigger, recomputation, tombstones
``jobs``         the runner and one module a kind
``aggregation``  batch mode
``archival``     from the questions of old attempts to files, and back
``importers``    legacy, OULAD, sample

``job_kinds.py`` lists every kind of job. ``schedule.py`` repeats a work.
"""
