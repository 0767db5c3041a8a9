# fish completion of dpipesd(1): options, groups and commands.
complete -c dpipesd -f
complete -c dpipesd -s x -l export -d 'Offer it to other hosts'
complete -c dpipesd -s m -l mode -x -d 'Mode of the sockets'
complete -c dpipesd -s g -l group -x -a '(__fish_complete_groups)' -d 'Group of the sockets'
complete -c dpipesd -s n -l max -x -d 'At most so many stages at a time'
complete -c dpipesd -l app -x -d 'Offer one program'
complete -c dpipesd -l grace -x -d 'How long stages may finish'
complete -c dpipesd -l link-ports -x -d 'The ports for links of stages'
complete -c dpipesd -s v -l verbose -d 'Explain what is being done'
complete -c dpipesd -s h -l help -d 'Show the usage'
complete -c dpipesd -l version -d 'Show the version'
complete -c dpipesd -a '(__fish_complete_command)'
