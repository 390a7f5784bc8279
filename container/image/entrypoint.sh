#!/bin/sh
# What tini runs in the image:
#   agent [--check]     the runner; its settings are in the environment
#   remove FOLDER...    takes everything out of these folders, for a host that may not remove what this user owns
# and anything else as a command.
set -eu
# The host reads what is written here, and need not be the same user.
umask 022

case "${1-agent}" in
agent)
    [ $# -eq 0 ] || shift
    # -I: neither the folder that it starts in nor $HOME, which an agent writes to, takes part in an import.
    exec /opt/roost/bin/python -I -B -u -m agent "$@"
    ;;
remove)
    shift
    for folder in "$@"; do
        # What its owner has locked has to be opened before anybody looks inside.
        find "$folder" -xdev -mindepth 1 -type d ! -perm -u=rwx -exec chmod u+rwx {} \;
        find "$folder" -xdev -mindepth 1 -delete
    done
    ;;
*)
    exec "$@"
    ;;
esac
