# fish completion of dreap(1): options and services, dead ones too.
complete -c dreap -f
complete -c dreap -s n -l dry-run -d 'Print what would be removed'
complete -c dreap -s w -l watch -d 'Keep watching'
complete -c dreap -s v -l verbose -d 'Explain what is being done'
complete -c dreap -s h -l help -d 'Show the usage'
complete -c dreap -l version -d 'Show the version'
# Behind a path stands why no ask would take it.
complete -c dreap -a '(dls -a 2>/dev/null | string replace -r "  \(.*" "")'
complete -c dreap -a '(dls -a 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")'
