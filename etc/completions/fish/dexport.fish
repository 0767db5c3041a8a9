# fish completion of dexport(1): options and services.
complete -c dexport -f
complete -c dexport -s l -l listen -x -d 'Listen on ADDR[:PORT]'
complete -c dexport -l plain -d 'Also beyond loopback, unencrypted'
complete -c dexport -l name -x -d 'A name of this exporter'
complete -c dexport -l no-announce -d 'Do not announce it by mDNS'
complete -c dexport -l user -x -d 'Run as this user'
complete -c dexport -s n -l max -x -d 'At most so many connections'
complete -c dexport -l grace -x -d 'Let open streams finish for so long'
complete -c dexport -s v -l verbose -d 'Explain what is being done'
complete -c dexport -l json -d 'Tell who has used what, as JSON'
complete -c dexport -s h -l help -d 'Show the usage'
complete -c dexport -l version -d 'Show the version'
complete -c dexport -a '(dls exported 2>/dev/null | string replace -r "^exported/" "")'
