# fish completion of dimport(1): options and URIs.
complete -c dimport -f
complete -c dimport -l at -r -F -d 'PATH=SERVICE: a socket at PATH for the first import'
complete -c dimport -l seps -d 'Of what is read take only seps:// hosts'
complete -c dimport -l once -d 'Do not connect again'
complete -c dimport -l poll -x -d 'Look at an ssh host so often'
complete -c dimport -s v -l verbose -d 'Explain what is being done'
complete -c dimport -s h -l help -d 'Show the usage'
complete -c dimport -l version -d 'Show the version'
complete -c dimport -a 'seps:// sep:// ssh://'
