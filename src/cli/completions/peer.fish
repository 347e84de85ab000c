# Completion of `peer` for fish: peer itself says what there is, at the moment of the Tab.
#
# It is asked with the word as it is meant, without its quotes; fish quotes the answers as the word was begun.

function __peer_candidates
    set -l typed (commandline --current-token --cut-at-cursor)
    # A quote that is still open is closed first: what is not closed cannot be read.
    for end in '' \' '"'
        if set -l plain (string unescape -- "$typed$end")
            set typed $plain
            break
        end
    end
    PEER_COMPLETE=fish peer -- (commandline --current-process --tokenize --cut-at-cursor) "$typed" 2>/dev/null
end

complete --keep-order --exclusive --command peer --arguments '(__peer_candidates)'
