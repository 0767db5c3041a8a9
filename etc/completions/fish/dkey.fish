# fish completion of dkey(1): options and exporters that are known.
function __fish_dkey_hosts
  set -l folder $DIPUS_CONFIG
  test -n "$folder"; or set folder (test -n "$XDG_CONFIG_HOME"; and echo $XDG_CONFIG_HOME; or echo ~/.config)/dipus
  sed -n '/^[[:space:]]*[#@]/!s/^[[:space:]]*\([^[:space:]]*\).*/\1/p' $folder/known_peers 2>/dev/null | tr , '\n'
end
complete -c dkey -f -a '(__fish_dkey_hosts)'
complete -c dkey -s l -l line -d 'Print a line for a file of peers'
complete -c dkey -l cert -d 'Write the certificate to cert.pem'
complete -c dkey -s h -l help -d 'Show the usage'
complete -c dkey -l version -d 'Show the version'
