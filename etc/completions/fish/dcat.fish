# fish completion of dcat(1): options, then a service, then files.
complete -c dcat -s p -l progress -d 'Show progress'
complete -c dcat -s t -l timeout -x -d 'Give up when not started within this time'
complete -c dcat -s w -l wait -x -d 'Wait this long for a service to appear'
complete -c dcat -s v -l verbose -d 'Explain what is being done'
complete -c dcat -s h -l help -d 'Show the usage'
complete -c dcat -l version -d 'Show the version'
complete -c dcat -n __fish_is_first_arg -f -a '(dls 2>/dev/null; dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")'
