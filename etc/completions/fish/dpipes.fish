# fish completion of dpipes(1): options.
complete -c dpipes -f
complete -c dpipes -s e -l strict -d 'A status other than 0 ends the pipeline'
complete -c dpipes -l sh -d 'An end is an end, as in a shell'
complete -c dpipes -s n -l null -d 'The first stage reads nothing'
complete -c dpipes -s N -l node -x -d 'Where stages may run'
complete -c dpipes -s t -l timeout -x -d 'Look so long for places'
complete -c dpipes -l plan -d 'Print where each stage would run'
complete -c dpipes -l direct -d 'Fail rather than let bytes pass through this host'
complete -c dpipes -l plain-links -d 'Let plain and encrypted nodes be in one pipeline'
complete -c dpipes -l tag -d 'Begin each line of stderr with its stage'
complete -c dpipes -s v -l verbose -d 'Explain what is being done'
complete -c dpipes -s h -l help -d 'Show the usage'
complete -c dpipes -l version -d 'Show the version'
