#!/bin/sh
# After unpacking: the user, and systemd's lists. Nothing is started or enabled: a fresh
# installation relays nothing and opens no port.
set -e

if ! getent passwd chive >/dev/null 2>&1; then
    if command -v systemd-sysusers >/dev/null 2>&1; then
        systemd-sysusers /usr/lib/sysusers.d/chive.conf
    else
        useradd --system --user-group --home-dir /var/lib/chive --no-create-home \
            --shell /usr/sbin/nologin --comment "chive daemon" chive
    fi
fi
chgrp chive /etc/chive /etc/chive/chive.toml
chmod 0750 /etc/chive
chmod 0640 /etc/chive/chive.toml

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # An upgrade: whoever runs it gets the new one.
    if [ -n "${2:-}" ]; then
        systemctl try-restart chive.service 'chive@*.service' || true
    fi
fi
