# The commands of every day. All of them also work without just: they call cargo or the scripts.

# List the recipes.
default:
    @just --list

# Build what is missing and start a server to try out.
dev *args:
    ./scripts/dev {{ args }}

# Install what the suites need, and run everything.
test *args:
    ./scripts/test {{ args }}

# Build the web console, which the server's build takes in.
console:
    ./scripts/console

# Renew the documents and types that follow from the events: docs/contract, the tables of docs/events.md, apps/client.
contract:
    RENEW_CONTRACT=1 cargo test --locked -p lockkeeper-socket-gateway contract

# Draw the pictures of the README from a running server: `just dev`, then `just pictures`.
pictures url="http://127.0.0.1:3000":
    node tests/clients/browser/screenshots.mjs {{ url }} docs/images

# The tests that need nothing but Rust, with mocks and fakes in place of the world.
unit:
    ./scripts/test --unit

# Kills two servers two hundred times, and their Redis as often, under load from twenty clients; `E2E_SEED=N` replays a run.
chaos rounds="200":
    LOCKKEEPER_CHAOS_ROUNDS={{ rounds }} cargo nextest run --locked -p lockkeeper-tests --profile long --no-capture -E 'test(/^chaos::/)'

# Kills the server a hundred times at any moment of a container's life, and looks for what it left.
chaos-docker rounds="100":
    E2E_ROUNDS={{ rounds }} cargo nextest run --locked -p lockkeeper-tests --profile long --no-capture -E 'test(docker::chaos)'

# Attacks a server with hostile MCP servers, and holds the figures of another session to their limits. Wants a quiet machine.
hostile-mcp rounds="200":
    LOCKKEEPER_HOSTILE_ROUNDS={{ rounds }} cargo nextest run --locked --release -p lockkeeper-tests --profile long --no-capture -E 'test(/^hostile_mcp::/)'

# Kills a Redis two hundred times under load, and looks whether all that it acknowledged is there, once.
chaos-redis rounds="200":
    REDIS_CHAOS_ROUNDS={{ rounds }} cargo test --locked -p lockkeeper-redis-store --test redis -- --nocapture crash::

# What sandboxes cost over the bare calls of the engine's API: `--rounds N --calls N --seconds N`. Wants a quiet machine.
bench-sandbox *args:
    cargo run --locked --release -p lockkeeper-tests --example bench_sandbox -- {{ args }}

# What the gate costs a call, on and off in one run: fails over 0.2 ms at the median. Wants a quiet machine.
bench-gate *args:
    cargo run --locked --release -p lockkeeper-domain --example bench_gate -- {{ args }}

# Formatting, clippy, cargo-deny, the scripts.
lint:
    ./scripts/test --lint

# The documentation of all crates, without warnings.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The workspace binary that runs in any image.
workspace-static:
    ./scripts/workspace-static
