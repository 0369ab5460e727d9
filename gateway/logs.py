"""Logging of a whole process: one line an event, to standard error."""

import logging

QUIET = ("cassandra", "httpx")
"""Clients that tell more than an operator wants: theirs are shown from warnings on, unless all is."""


def log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        # Whatever it can't do reaches us as an exception and is logged once, by whoever handles it.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
