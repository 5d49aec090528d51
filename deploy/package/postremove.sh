#!/bin/sh
# Lets systemd forget the units; a purge also removes the secrets.
set -e

if [ "$1" = purge ]; then
	rm -rf "$DPKG_ROOT/etc/rollcall"
fi
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
