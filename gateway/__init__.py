"""The process: HTTP application, identity, settings, command line, and the one place that wires everything."""
