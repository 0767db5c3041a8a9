# fish completion of dudp(1): options and services.
complete -c dudp -f
complete -c dudp -s l -l listen -x -d 'Let the network in at ADDR:PORT'
complete -c dudp -l to -x -a '(dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")' -d 'Every session is of this service'
complete -c dudp -l plain -d 'Also beyond loopback, unencrypted'
complete -c dudp -l idle -x -d 'End a session that was silent for so long'
complete -c dudp -s n -l max -x -d 'At most so many sessions each way'
complete -c dudp -s v -l verbose -d 'Explain what is being done'
complete -c dudp -s h -l help -d 'Show the usage'
complete -c dudp -l version -d 'Show the version'
