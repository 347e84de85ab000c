
set edit:completion:arg-completer[peer] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) PEER_COMPLETE="elvish" peer -- $@words) | to-lines
}

