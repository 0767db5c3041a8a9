# fish completion of dipusd(1): options.
complete -c dipusd -f
complete -c dipusd -s f -l file -r -F -d 'Which tools to keep, a line each'
complete -c dipusd -s v -l verbose -d 'Explain what is being done'
complete -c dipusd -l json -d 'Messages and the table are JSON objects'
complete -c dipusd -s h -l help -d 'Show the usage'
complete -c dipusd -l version -d 'Show the version'
