# fish completion of dws(1): options and services.
complete -c dws -f
complete -c dws -s l -l listen -x -d 'Let the network in at ADDR:PORT'
complete -c dws -l to -x -a '(dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")' -d 'Every connection is this service'
complete -c dws -l plain -d 'Also beyond loopback, unencrypted'
complete -c dws -l origin -x -d 'Let pages of this origin in'
complete -c dws -s n -l max -x -d 'At most so many connections each way'
complete -c dws -s v -l verbose -d 'Explain what is being done'
complete -c dws -s h -l help -d 'Show the usage'
complete -c dws -l version -d 'Show the version'
