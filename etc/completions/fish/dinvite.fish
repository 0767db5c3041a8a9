# fish completion of dinvite(1): options, and those of authorized_peers.
complete -c dinvite -f -a 'service= user= from= until= max='
complete -c dinvite -s t -l time -x -d 'The code is good for so many seconds'
complete -c dinvite -s d -l delete -d 'Take the invitation back'
complete -c dinvite -s h -l help -d 'Show the usage'
complete -c dinvite -l version -d 'Show the version'
