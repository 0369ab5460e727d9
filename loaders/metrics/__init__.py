"""Tables of figures.

A table that is asked for (a ``Tile``) is planned (``plans.py``): its ids are looked up and what counting costs is
estimated (``costs.py``), which gives the ground that is counted (``grounds.py``). Tiles with the same ground are batched
(``tables.py``): one query answers them (``queries.py``), and its rows become their tables (``tabulation.py``).
"""
