"""The existing platform's rows as ours: its names, its times, its statuses, and how they are merged.

Rows come as dicts by the names of LEGACY_TABLES, whatever a deployment calls its columns (``names_of``).
"""
