# shellcheck shell=bash
# Shared by test-agents and bench-agents: sourced in the repository's root after common.sh, never run. Installs the real
# agents, puts them on PATH, and reports what is missing if they cannot be run without a network.

# The versions with which the built-in profiles were seen to work; each profile names its own.
packages=(
    @anthropic-ai/claude-code@2.1.332
    @openai/codex@0.171.0
    @mariozechner/pi-coding-agent@0.73.1
    opencode-ai@1.18.33
    @google/gemini-cli@0.61.0
)

[ "$(uname -s)" = Linux ] || fail "needs Linux: the agents are cut off from the network by a network namespace"
for tool in cargo ip node npm python3 tmux unshare; do
    command -v "$tool" >/dev/null || fail "needs $tool, which is not on PATH"
done
unshare --net --map-root-user ip link set lo up ||
    fail "cannot make a network namespace: unprivileged user namespaces are switched off here (see unshare(1))"

agents=${PEER_TEST_AGENTS_DIR:-target/agents}
have() { [ "$(cat "$agents/.installed" 2>/dev/null)" = "${packages[*]}" ]; }
if [ -z "${PEER_TEST_AGENTS_DIR:-}" ] && ! have; then
    mkdir -p "$agents"
    npm install --no-audit --no-fund --prefix "$agents" "${packages[@]}" ||
        fail "npm could not install ${packages[*]}: see its message above; nothing was run"
    echo "${packages[*]}" >"$agents/.installed"
fi
[ -d "$agents/node_modules/.bin" ] ||
    fail "no agents in $agents: PEER_TEST_AGENTS_DIR is what npm install --prefix was given"
bin=$(cd "$agents" && pwd)/node_modules/.bin
for agent in claude codex pi opencode gemini; do
    [ -x "$bin/$agent" ] || fail "no $agent in $bin: remove $agents and run again; nothing was run"
done
export PATH=$bin:$PATH
