"""The documentation as a site: `scripts/docs` builds it into .site, with no word from another host."""

from pathlib import Path

from graph.reference import write_schema_pages

project = "Cohort"
html_title = "Cohort"
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
extensions = ["myst_parser"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
"""JSON and shell lines with `…` in them are shown as they are."""


def setup(_app: object) -> None:
    write_schema_pages(Path(__file__).with_name("reference"))
