#!/bin/sh
# Makes the user and lets systemd see the units. Starts nothing that does not run.
set -e

systemd-sysusers ${DPKG_ROOT:+"--root=$DPKG_ROOT"} rollcall.conf

if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade: services that run get the new version. Where the migrations are
	# enabled, they run first.
	if [ "$1" = configure ] && [ -n "$2" ]; then
		systemctl try-restart rollcall-worker.service rollcall-api.service
	fi
fi
