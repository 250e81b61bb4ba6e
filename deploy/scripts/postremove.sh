#!/bin/sh
# After the files have gone. Keys and guards stay until a purge: a relay's age is worth
# weeks. The user stays, as files of his may.
set -e

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
if [ "${1:-}" = purge ]; then
    rm -rf /var/lib/chive /var/lib/chive-*
    rmdir /etc/chive 2>/dev/null || true
fi
