# Sourced by ~/.bashrc or ~/.zshrc: shows the agent of this directory in the prompt, `[api awake 5m]`.
# The file .peer in this directory or one above it names the agent: echo api > .peer
peer_prompt() {
    peer_prompt_dir=$PWD
    while [ -n "$peer_prompt_dir" ] && [ ! -f "$peer_prompt_dir/.peer" ]; do
        peer_prompt_dir=${peer_prompt_dir%/*}
    done
    [ -f "$peer_prompt_dir/.peer" ] || return 0
    read -r peer_prompt_name <"$peer_prompt_dir/.peer"
    peer_prompt_text=$(peer status --short -- "$peer_prompt_name" 2>/dev/null) && printf '[%s] ' "$peer_prompt_text"
    return 0
}
if [ -n "${ZSH_VERSION-}" ]; then
    setopt prompt_subst
fi
PS1='$(peer_prompt)'$PS1
