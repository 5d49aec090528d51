#!/usr/bin/env python3
"""Brings the users in line with the full CSV export of an HR system, every night:
joiners are created and invited, movers updated, leavers disabled. Saves the result
of every row.

    sync.py PEOPLE.csv RESULTS.csv

Needs Python 3.8 or later, and ROLLCALL_URL and ADMIN_API_TOKEN in the environment.
HR_MAX_DISABLE is how many users one night may disable without approval, a number or
a percentage; default 5%. HR_PROFILE names an import profile to take the options from;
then only a HR_MAX_DISABLE that is set goes before it.
Exit code: 0 all rows are in, 2 some rows failed, 3 held: too many users would be
disabled, nothing was applied, and an administrator has to approve it; 1 nothing was
imported.

It can be repeated at any time: on the same day the same file gets the same
Idempotency-Key, so an interrupted run continues where it was. On another day it is
imported again, which reverts changes made here since.
"""

import hashlib
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ["ROLLCALL_URL"]
TOKEN = os.environ["ADMIN_API_TOKEN"]
PROFILE = os.environ.get("HR_PROFILE")
MAX_DISABLE = os.environ.get("HR_MAX_DISABLE") or ("" if PROFILE else "5%")
PATIENCE = 5  # retries while the server is unavailable or asks to wait


def ask(path, body=None, **headers):
    """Returns status, headers and body; a response of 400 or above ends the program."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Authorization"] = "Bearer " + TOKEN
    for left in range(PATIENCE, -1, -1):
        request = urllib.request.Request(URL + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            if answer.code == 304:
                return answer.code, answer.headers, b""
            problem = json.loads(answer.read())
            # 409 with Retry-After: the first upload with this key is still arriving.
            again = answer.headers.get("Retry-After") if answer.code in (409, 429, 503) else None
            if again is None or left == 0:
                sys.exit(" ".join(filter(None, (problem["code"] + ":", problem.get("detail"), problem.get("fix")))))
            time.sleep(int(again))
        except (urllib.error.URLError, TimeoutError) as lost:
            if left == 0:
                sys.exit(f"{URL}: {lost}")
            time.sleep(1)


def form(content, **options):
    """A multipart body with the file and the options, and its media type."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in options.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'.encode()
    return body + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def held(users):
    """Says who has to do what about an import over the safety limit."""
    page, count = f"{URL}/admin/imports/{users['id']}", users["plan"]["disable"]
    print(f"""held: {count} users are missing from the file and would be disabled, but the limit is {users["disable_limit"]}. Nothing was changed.
See who they are and approve it as an administrator on {page},
or with a token of the scope admin:
  curl -X POST {URL}{users["links"]["self"]}/confirm -H "Authorization: Bearer $ADMIN_TOKEN" -H "Content-Type: application/json" -d '{{"allow_disable": {count}}}'
If the file is wrong, cancel the import there and send a complete file. Running this again today with the same file continues where it is.""", file=sys.stderr)
    return 3


def main(people, results):
    content = pathlib.Path(people).read_bytes()
    options = {"profile": PROFILE} if PROFILE else {"on_duplicate": "update", "missing": "disable"}
    if MAX_DISABLE:
        options["max_disable"] = MAX_DISABLE
    body, media_type = form(content, **options)
    # With other options it is another import, so they are part of the key.
    digest = hashlib.sha256(json.dumps(options).encode() + content).hexdigest()
    key = time.strftime("hr-sync-%Y-%m-%d-", time.gmtime()) + digest
    _, _, answer = ask("/api/admin/users/import", body, Content_Type=media_type, Idempotency_Key=key, Prefer="respond-async")
    users = json.loads(answer)

    # Wait for changes: each response comes as soon as there is one; 304 if there
    # was none within 30 seconds.
    known = {}
    while users["status"] in ("queued", "checking", "importing"):
        print(users["status"], f"{users['processed']}/{users['total'] or '?'}", file=sys.stderr)
        status, headers, answer = ask(users["links"]["self"], Prefer="wait=30", **known)
        if status == 200:
            users, known = json.loads(answer), {"If_None_Match": headers["ETag"]}
    if users["status"] == "held":
        return held(users)
    if users["status"] != "completed":
        failure = users["failure"]
        sys.exit("{code}: {message} {fix}".format(**failure) if failure else f"the import was {users['status']}")

    # Every row with the ID of its user, for the HR system to keep.
    pathlib.Path(results).write_bytes(ask(users["links"]["results_csv"])[2])
    print(f"{users['imported']} imported, {users['updated']} updated, {users['unchanged']} unchanged, {users['disabled']} disabled, {users['failed']} failed")
    for error in users["errors"]:
        print(f"row {error['row']}: {error['message']} {error['fix']}")
    return 2 if users["failed"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: sync.py PEOPLE.csv RESULTS.csv")
    sys.exit(main(*sys.argv[1:]))
