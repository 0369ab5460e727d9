"""Contents and collections as the platform's clients read, edit and publish them. docs/api.md lists the codes."""
