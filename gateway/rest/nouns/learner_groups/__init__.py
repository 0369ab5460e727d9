"""Groups of learners as the platform's clients call them. docs/api.md lists the codes."""
