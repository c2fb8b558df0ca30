//! The MCP server inside a sandbox: files and commands of one workspace.

fn main() {}
