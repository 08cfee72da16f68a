#!/bin/sh
# A home for a container: its own socket and spool, and by links what all containers of one installation share (PARTITA_SHARED):
# logs, checkpoints, the cache, code, what is deployed, and the key of the gates.
set -eu
home=/var/lib/partita
shared=${PARTITA_SHARED:-/srv/shared}
umask 077
for name in logs checkpoints cache code deployed values; do
    mkdir -p "$shared/$name"
    [ "$name" = values ] || ln -sfn "$shared/$name" "$home/$name"
done
if [ ! -s "$shared/gates.key" ]; then
    head -c 32 /dev/urandom > "$shared/.gates.key.$$"
    # A link is made by one container only; the others take what is there.
    ln "$shared/.gates.key.$$" "$shared/gates.key" 2>/dev/null || true
    rm -f "$shared/.gates.key.$$"
fi
ln -sfn "$shared/gates.key" "$home/gates.key"
exec "$@"
