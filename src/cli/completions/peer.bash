# Completion of `peer` for bash: peer itself says what there is, at the moment of the Tab.
#
# It is asked with the word as it is meant, and its answers are quoted as the word was begun: a topic may hold spaces,
# quotes and whatever else a shell takes for its own.

# _peer COMMAND WORD: WORD is what bash will replace, without the quote that opens it.
_peer() {
    local IFS=$'\n' rest=${COMP_LINE:0:COMP_POINT} piece=${COMP_WORDS[COMP_CWORD]} quote='' head='' candidate i
    # bash cuts words at = and : too; what no space keeps apart is one word for peer.
    local words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if ((i == 0)) || [[ $rest == [[:space:]]* || -z $rest ]]; then
            words+=("${COMP_WORDS[i]}")
        else
            words[${#words[@]} - 1]+=${COMP_WORDS[i]}
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"${COMP_WORDS[i]}"}
    done
    local last=$((${#words[@]} - 1))
    [[ $piece == [=:] ]] && piece=''
    head=${words[last]%"$piece"}

    local typed=$2
    case $piece in
    [\'\"]*)
        quote=${piece:0:1}
        typed=${typed#"$quote"}
        ;;
    esac
    [[ $quote == \' ]] || typed=${typed//\\/}
    head=${head//\\/}
    words[last]=$head$typed

    COMPREPLY=()
    while read -r candidate || [[ -n $candidate ]]; do
        candidate=${candidate#"$head"}
        case $quote in
        \') candidate=${candidate//\'/\'\\\'\'} ;;
        \")
            candidate=${candidate//\\/\\\\}
            candidate=${candidate//\"/\\\"}
            candidate=${candidate//\$/\\\$}
            candidate=${candidate//\`/\\\`}
            ;;
        *)
            printf -v candidate %q "$candidate"
            # A home directory stays one.
            candidate=${candidate/#\\\~/\~}
            ;;
        esac
        COMPREPLY+=("$candidate")
    done < <(
        _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$last PEER_COMPLETE=bash peer -- "${words[@]}" 2>/dev/null
    )
    # What ends so goes on: --env NAME=, a directory. bash 3 has no compopt, and gets a space.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

if [[ ${BASH_VERSINFO[0]} -gt 4 || ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ]]; then
    complete -o bashdefault -o nosort -F _peer peer
else
    complete -o bashdefault -F _peer peer
fi
