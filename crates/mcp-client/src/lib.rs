//! MCP servers in a sandbox, as one merged list of tools.
