# fish completion of ddiscover(1): options.
complete -c ddiscover -f
complete -c ddiscover -s a -l all -d 'Print exporters of this host too'
complete -c ddiscover -s t -l time -x -d 'Look for so many seconds'
complete -c ddiscover -s w -l watch -d 'Watch'
complete -c ddiscover -s r -l registry -x -d 'Ask a registry'
complete -c ddiscover -l json -d 'Print JSON objects'
complete -c ddiscover -s h -l help -d 'Show the usage'
complete -c ddiscover -l version -d 'Show the version'
complete -c ddiscover -n '__fish_contains_opt -s r registry' -a 'dipus dpipesd'
