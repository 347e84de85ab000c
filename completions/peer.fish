complete --keep-order --exclusive --command peer --arguments "(PEER_COMPLETE=fish peer -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
