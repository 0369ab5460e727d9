"""The Model Context Protocol at ``/mcp``: agents call the trusted documents as tools (docs/mcp.md)."""
