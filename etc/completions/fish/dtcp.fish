# fish completion of dtcp(1): options and services.
complete -c dtcp -f
complete -c dtcp -s l -l listen -x -d 'Let the network in at ADDR:PORT'
complete -c dtcp -l to -x -a '(dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")' -d 'Every connection is this service'
complete -c dtcp -l plain -d 'Also beyond loopback, unencrypted'
complete -c dtcp -s n -l max -x -d 'At most so many connections each way'
complete -c dtcp -l grace -x -d 'Let open streams finish for so long'
complete -c dtcp -s v -l verbose -d 'Explain what is being done'
complete -c dtcp -s h -l help -d 'Show the usage'
complete -c dtcp -l version -d 'Show the version'
