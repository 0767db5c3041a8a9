# fish completion of dcat(1): options, then a service, then files.
complete -c dcat -s p -d 'Show progress'
complete -c dcat -s t -x -d 'Give up when not started within this time'
complete -c dcat -s v -d 'Explain what is being done'
complete -c dcat -l help -d 'Show the usage'
complete -c dcat -l version -d 'Show the version'
complete -c dcat -n __fish_is_first_arg -f -a '(dls 2>/dev/null; dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")'
