# fish completion of dlink(1): options, groups and schemes.
complete -c dlink -f
complete -c dlink -s x -l export -d 'Offer it to other hosts'
complete -c dlink -s m -l mode -x -d 'Mode of the sockets'
complete -c dlink -s g -l group -x -a '(__fish_complete_groups)' -d 'Group of the sockets'
complete -c dlink -s n -l max -x -d 'At most so many at a time'
complete -c dlink -s v -l verbose -d 'Explain what is being done'
complete -c dlink -s h -l help -d 'Show the usage'
complete -c dlink -l version -d 'Show the version'
complete -c dlink -a 'unix:/// tcp:// sep:// seps:// ssh://'
