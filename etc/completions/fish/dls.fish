# fish completion of dls(1): options and services.
complete -c dls -f
complete -c dls -s 1 -l first -d 'Print the first match only'
complete -c dls -s a -l all -d 'Print untrusted and dead services too'
complete -c dls -s f -l full -d 'Print full paths'
complete -c dls -s l -l long -d 'Print a table'
complete -c dls -s v -l verbose -d 'Explain on stderr what is being done'
complete -c dls -s w -l watch -d 'Watch'
complete -c dls -l json -d 'Print JSON objects'
complete -c dls -l wait -x -d 'Wait until something answers'
complete -c dls -s v -l verbose -d 'Explain what is being done'
complete -c dls -s h -l help -d 'Show the usage'
complete -c dls -l version -d 'Show the version'
complete -c dls -a '(dls 2>/dev/null; dls 2>/dev/null | string replace -r "^(?:.*/)?([^./]+)\..*" "\$1")'
