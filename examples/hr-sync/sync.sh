#!/bin/sh
# Imports a CSV export of an HR system and brings home what became of each row.
#
#   sync.sh PEOPLE.csv RESULTS.csv
#
# Needs curl and jq, and in the environment ROLLCALL_URL and ADMIN_API_TOKEN.
# Exit code: 0 every row is in, 2 some rows were refused, 1 nothing was done.
#
# It may be run again at any time: on the same day the same file gets the same
# Idempotency-Key, so that a run which was cut off goes on where it was. On another
# day it is imported afresh, which sets right what has changed here since.
set -eu

people=${1:?usage: sync.sh PEOPLE.csv RESULTS.csv}
results=${2:?usage: sync.sh PEOPLE.csv RESULTS.csv}
url=${ROLLCALL_URL:?is not set}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# In a file, because everybody on this machine can read the arguments.
(umask 077 && printf 'Authorization: Bearer %s\n' "${ADMIN_API_TOKEN:?is not set}" > "$tmp/token")

# curl tries again after 429 and 503, when Retry-After says, and after a lost
# connection.
api() {
	curl --silent --show-error --retry 5 --retry-connrefused --max-time 300 --header @"$tmp/token" "$@"
}

# A problem says what is wrong, and often what to do about it.
check() {
	case $1 in
	200 | 202 | 304) ;;
	*)
		jq -r '"\(.code): \(.detail // .title) \(.fix // "")"' "$2" >&2 || cat "$2" >&2
		exit 1
		;;
	esac
}

key=hr-sync-$(date -u +%F)-$(sha256sum < "$people" | cut -c 1-64)
code=$(api --output "$tmp/import" --write-out '%{http_code}' \
	--header "Idempotency-Key: $key" --header 'Prefer: respond-async' \
	--form "file=@$people" --form on_duplicate=update "$url/api/admin/users/import")
check "$code" "$tmp/import"
self=$url$(jq -r .links.self "$tmp/import")

# Wait for changes: each answer comes as soon as there is one, 304 if none came
# within half a minute.
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

if [ "$(jq -r .status "$tmp/import")" != completed ]; then
	jq -r 'if .failure then "\(.failure.code): \(.failure.message) \(.failure.fix)" else "the import was \(.status)" end' "$tmp/import" >&2
	exit 1
fi

# Every row with the id of its user, for the HR system to keep.
code=$(api --output "$tmp/results" --write-out '%{http_code}' "$url$(jq -r .links.results_csv "$tmp/import")")
check "$code" "$tmp/results"
mv "$tmp/results" "$results"

jq -r '"\(.imported) imported, \(.updated) updated, \(.failed) refused"' "$tmp/import"
jq -r '.errors[] | "row \(.row): \(.message) \(.fix)"' "$tmp/import"
[ "$(jq -r .failed "$tmp/import")" = 0 ] || exit 2
