//! What stands below the help of each command.
//!
//! Each example is run by the end-to-end test `published::every_example_of_the_help_works`, from a folder of its own in which a
//! server's configuration, an image's parts and the like lie. A line that begins with `$` is a command; one that ends in `# not run`
//! needs what a test has not.

pub(super) const DEV: &str = "\
Examples:
  $ lockkeeper dev                                           # server
  $ lockkeeper dev --port 0 --set session.max_steps=8        # server";

pub(super) const SERVE: &str = "\
Examples:
  $ lockkeeper serve --config example.toml                   # server
  $ LLM_PROVIDER=demo SANDBOX_RUNTIME=local lockkeeper serve --set store.kind=embedded --port 0   # server";

pub(super) const CHAT: &str = "\
Examples:
  $ lockkeeper chat --yes 'run `echo hello`'
  $ echo 'list files' | lockkeeper chat --yes
  $ lockkeeper chat --url http://127.0.0.1:3000 --session notes 'read notes.txt'   # not run

Exit codes:
  0   every turn came to its end
  1   a turn failed or was cut off, or the server refused
  3   every turn came to its end, and a tool call was denied
  69  there is no server";

pub(super) const CONFIG_SHOW: &str = "\
Examples:
  $ lockkeeper config show --origin
  $ lockkeeper config show --json --config example.toml";

pub(super) const CONFIG_CHECK: &str = "\
Examples:
  $ lockkeeper config check --config example.toml
  $ lockkeeper config check --dev --json";

pub(super) const CONFIG_SCHEMA: &str = "\
Examples:
  $ lockkeeper config schema > lockkeeper.schema.json
  $ lockkeeper config schema --markdown > configuration.md";

pub(super) const DOCTOR: &str = "\
Examples:
  $ lockkeeper doctor sandbox
  $ lockkeeper doctor model --json
  $ lockkeeper doctor                                        # not run";

pub(super) const SESSIONS: &str = "\
Examples:
  $ lockkeeper sessions list --url http://127.0.0.1:3000     # not run
  $ lockkeeper sessions show notes --json                    # not run
  $ lockkeeper sessions end notes                            # not run";

pub(super) const TOKEN_CREATE: &str = "\
Examples:
  $ lockkeeper token create alice
  $ LOCKKEEPER_AUTH__JWT__SECRET_FILE=secret LOCKKEEPER_AUTH__MODE=jwt lockkeeper token create alice --valid-secs 600";

pub(super) const IMAGE_BUILD: &str = "\
Examples:
  $ lockkeeper image build                                   # not run
  $ lockkeeper image build --tag tools:latest --with-node --add ./server.js:/opt/notes/server.js   # not run";

pub(super) const IMAGE_SECCOMP: &str = "\
Examples:
  $ lockkeeper image seccomp > seccomp.json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  $ lockkeeper completions bash > lockkeeper.bash
  $ lockkeeper completions zsh > _lockkeeper";

pub(super) const MCP_LIST: &str = "\
Examples:
  $ lockkeeper mcp list
  $ lockkeeper mcp list --json --config example.toml";

pub(super) const MCP_ADD: &str = "\
Examples:
  $ lockkeeper mcp add notes --env 'NOTES_KEY=${NOTES_KEY:-}' -- node /opt/notes/server.js
  $ lockkeeper mcp add --dry-run search -- /opt/search/run --root '{workspace}'";

pub(super) const MCP_IMPORT: &str = "\
Examples:
  $ lockkeeper mcp import mcp.json
  $ lockkeeper mcp import --dry-run mcp.json";

pub(super) const MCP_TEST: &str = "\
Examples:
  $ lockkeeper mcp test workspace
  $ lockkeeper mcp test workspace --json";

pub(super) const MCP_TOOLS: &str = "\
Examples:
  $ lockkeeper mcp tools
  $ lockkeeper mcp tools workspace --user alice --json";

pub(super) const POLICY_CHECK: &str = "\
Examples:
  $ lockkeeper policy check rules.toml                       # not run";

pub(super) const POLICY_SIMULATE: &str = "\
Examples:
  $ lockkeeper policy simulate rules.toml --changes          # not run
  $ lockkeeper policy simulate rules.toml --user alice --save logs.jsonl   # not run
  $ lockkeeper policy simulate rules.toml --log logs.jsonl   # not run";

pub(super) const AUDIT_EXPORT: &str = "\
Examples:
  $ lockkeeper audit export notes --out notes.audit   # not run
  $ lockkeeper audit export notes | tail -n 1         # not run
  $ lockkeeper audit export --follow > audit.jsonl    # not run";

pub(super) const AUDIT_VERIFY: &str = "\
Examples:
  $ lockkeeper audit verify notes.audit                                    # not run
  $ lockkeeper audit verify notes.audit --key-file audit.secret            # not run";
