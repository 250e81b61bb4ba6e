#!/bin/sh
# Before the files go: the daemon ends. An upgrade leaves it to the new version.
set -e

case "${1:-}" in
    upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now chive.service || true
    systemctl stop 'chive@*.service' || true # an instance cannot be disabled by a pattern
fi
