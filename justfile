# What is typed most while peer is changed: `just`, or `just --list`.

default: check

# Formats, lints, and the rules that the sources are held to.
check:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --locked --test it house

# Tests whose names hold FILTER, after building the agent that they wake.
test *FILTER:
    cargo build --workspace --locked --examples
    cargo test --workspace --locked --lib --bins --tests {{FILTER}}

# Completions, man pages and help, anew from the binary.
generate:
    PEER_REGENERATE=1 cargo test --locked --test it generated

# What CI runs, from a fresh clone's view.
ci:
    .ci/run

# One figure beside the raw command's: start, wake, tick, zellij.
bench NAME:
    cargo bench --bench {{NAME}}
