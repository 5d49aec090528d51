#!/bin/sh
# Stops the services when the package is removed, not when it is upgraded.
set -e

if [ "$1" = remove ] && [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now rollcall-api.service rollcall-worker.service rollcall-migrate.service
fi
