# fish completion of dtls(1): options, files and services.
complete -c dtls -f
complete -c dtls -s l -l listen -x -d 'Let the network in at ADDR:PORT'
complete -c dtls -l to -x -a '(dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")' -d 'Every connection is this service'
complete -c dtls -l keys -r -F -d 'Pre-shared keys'
complete -c dtls -s n -l max -x -d 'At most so many connections each way'
complete -c dtls -l grace -x -d 'Let open streams finish for so long'
complete -c dtls -s v -l verbose -d 'Explain what is being done'
complete -c dtls -s h -l help -d 'Show the usage'
complete -c dtls -l version -d 'Show the version'
