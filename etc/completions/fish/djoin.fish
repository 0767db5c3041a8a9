# fish completion of djoin(1): options and exporters that are known.
function __fish_djoin_hosts
  set -l folder $DIPUS_CONFIG
  test -n "$folder"; or set folder (test -n "$XDG_CONFIG_HOME"; and echo $XDG_CONFIG_HOME; or echo ~/.config)/dipus
  sed -n '/^[[:space:]]*[#@]/!s/^[[:space:]]*\([^[:space:]]*\).*/\1/p' $folder/known_peers 2>/dev/null | tr , '\n'
end
complete -c djoin -f -a '(__fish_djoin_hosts)'
complete -c djoin -l both -d 'HOST may use what this host exports'
complete -c djoin -s h -l help -d 'Show the usage'
complete -c djoin -l version -d 'Show the version'
