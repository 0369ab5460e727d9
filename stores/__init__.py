"""Ports to the stores: one Protocol for each kind (rows, events, cache, groups, blobs) with two engines each.

``PORT.py`` has the Protocol and ``PORT_ENGINE.py`` an engine, such as ``rows_sqlite.py``. Parts of an engine are named
after it: ``sqlite_*``, ``cassandra_*``, ``log_*`` (the embedded log), ``kafka_*``, ``duckdb_*``, ``druid_*``. ``engines.py``
opens them. ``tables/`` and ``topics.py`` declare what is stored.
"""
