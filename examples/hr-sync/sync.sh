#!/bin/sh
# Brings the users in line with the full CSV export of an HR system, every night:
# joiners are created and invited, movers updated, leavers disabled. Saves the result
# of every row.
#
#   sync.sh PEOPLE.csv RESULTS.csv
#
# Needs curl and jq, and in the environment ROLLCALL_URL and ADMIN_API_TOKEN.
# HR_MAX_DISABLE is how many users one night may disable without approval, a number or
# a percentage; default 5%. HR_PROFILE names an import profile to take the options
# from; then only a HR_MAX_DISABLE that is set goes before it.
# Exit code: 0 all rows are in, 2 some rows failed, 3 held: too many users would be
# disabled, nothing was applied, and an administrator has to approve it; 1 nothing was
# imported.
#
# It can be repeated at any time: on the same day the same file gets the same
# Idempotency-Key, so an interrupted run continues where it was. On another day it is
# imported again, which reverts changes made here since.
set -eu

people=${1:?usage: sync.sh PEOPLE.csv RESULTS.csv}
results=${2:?usage: sync.sh PEOPLE.csv RESULTS.csv}
url=${ROLLCALL_URL:?is not set}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# In a file, because every user of this machine can read the arguments.
(umask 077 && printf 'Authorization: Bearer %s\n' "${ADMIN_API_TOKEN:?is not set}" > "$tmp/token")

# curl retries after 429 and 503, when Retry-After says, and after a lost
# connection.
api() {
	curl --silent --show-error --retry 5 --retry-connrefused --max-time 300 --header @"$tmp/token" "$@"
}

# A problem says what is wrong, and often how to fix it.
check() {
	case $1 in
	200 | 202 | 304) ;;
	*)
		jq -r '"\(.code): \(.detail // .title) \(.fix // "")"' "$2" >&2 || cat "$2" >&2
		exit 1
		;;
	esac
}

if [ -n "${HR_PROFILE:-}" ]; then
	set -- --form-string "profile=$HR_PROFILE"
else
	set -- --form-string on_duplicate=update --form-string missing=disable
	: "${HR_MAX_DISABLE:=5%}"
fi
[ -z "${HR_MAX_DISABLE:-}" ] || set -- "$@" --form-string "max_disable=$HR_MAX_DISABLE"

# With other options it is another import, so they are part of the key.
key=hr-sync-$(date -u +%F)-$( (printf '%s\n' "$@" && cat "$people") | sha256sum | cut -c 1-64)
code=$(api --output "$tmp/import" --write-out '%{http_code}' \
	--header "Idempotency-Key: $key" --header 'Prefer: respond-async' \
	"$@" --form "file=@$people" "$url/api/admin/users/import")
check "$code" "$tmp/import"
self=$url$(jq -r .links.self "$tmp/import")

# Wait for changes: each response comes as soon as there is one; 304 if there was none
# within 30 seconds.
: > "$tmp/etag"
while
	jq -r '"\(.status) \(.processed)/\(.total // "?")"' "$tmp/import" >&2
	jq -e '.status | IN("queued", "checking", "importing")' "$tmp/import" > "$tmp/working"
do
	code=$(api --output "$tmp/now" --write-out '%{http_code}' --header 'Prefer: wait=30' \
		--etag-compare "$tmp/etag" --etag-save "$tmp/etag" "$self")
	check "$code" "$tmp/now"
	[ "$code" = 304 ] || mv "$tmp/now" "$tmp/import"
done

if [ "$(jq -r .status "$tmp/import")" = held ]; then
	jq -r --arg url "$url" '"held: \(.plan.disable) users are missing from the file and would be disabled, but the limit is \(.disable_limit). Nothing was changed.
See who they are and approve it as an administrator on \($url)/admin/imports/\(.id),
or with a token of the scope admin:
  curl -X POST \($url)\(.links.self)/confirm -H \"Authorization: Bearer $ADMIN_TOKEN\" -H \"Content-Type: application/json\" -d \u0027{\"allow_disable\": \(.plan.disable)}\u0027
If the file is wrong, cancel the import there and send a complete file. Running this again today with the same file continues where it is."' "$tmp/import" >&2
	exit 3
fi
if [ "$(jq -r .status "$tmp/import")" != completed ]; then
	jq -r 'if .failure then "\(.failure.code): \(.failure.message) \(.failure.fix)" else "the import was \(.status)" end' "$tmp/import" >&2
	exit 1
fi

# Every row with the ID of its user, for the HR system to keep.
code=$(api --output "$tmp/results" --write-out '%{http_code}' "$url$(jq -r .links.results_csv "$tmp/import")")
check "$code" "$tmp/results"
mv "$tmp/results" "$results"

jq -r '"\(.imported) imported, \(.updated) updated, \(.unchanged) unchanged, \(.disabled) disabled, \(.failed) failed"' "$tmp/import"
jq -r '.errors[] | "row \(.row): \(.message) \(.fix)"' "$tmp/import"
[ "$(jq -r .failed "$tmp/import")" = 0 ] || exit 2
