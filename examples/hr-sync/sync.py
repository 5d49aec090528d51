#!/usr/bin/env python3
"""Imports a CSV export of an HR system and brings home what became of each row.

    sync.py PEOPLE.csv RESULTS.csv

Needs Python 3.8 and nothing else, and in the environment ROLLCALL_URL and
ADMIN_API_TOKEN. Exit code: 0 every row is in, 2 some rows were refused, 1
nothing was done.

It may be run again at any time: on the same day the same file gets the same
Idempotency-Key, so that a run which was cut off goes on where it was. On another
day it is imported afresh, which sets right what has changed here since.
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
PATIENCE = 5  # further tries after the server was away or asked to come back


def ask(path, body=None, **headers):
    """Returns status, headers and body; an answer of 400 and above ends the program."""
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
            # 409 with Retry-After: the first try with this key is still arriving.
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


def main(people, results):
    content = pathlib.Path(people).read_bytes()
    body, media_type = form(content, on_duplicate="update")
    key = time.strftime("hr-sync-%Y-%m-%d-", time.gmtime()) + hashlib.sha256(content).hexdigest()
    _, _, answer = ask("/api/admin/users/import", body, Content_Type=media_type, Idempotency_Key=key, Prefer="respond-async")
    users = json.loads(answer)

    # Wait for changes: each answer comes as soon as there is one, 304 if none
    # came within half a minute.
    known = {}
    while users["status"] in ("queued", "checking", "importing"):
        print(users["status"], f"{users['processed']}/{users['total'] or '?'}", file=sys.stderr)
        status, headers, answer = ask(users["links"]["self"], Prefer="wait=30", **known)
        if status == 200:
            users, known = json.loads(answer), {"If_None_Match": headers["ETag"]}
    if users["status"] != "completed":
        failure = users["failure"]
        sys.exit("{code}: {message} {fix}".format(**failure) if failure else f"the import was {users['status']}")

    # Every row with the id of its user, for the HR system to keep.
    pathlib.Path(results).write_bytes(ask(users["links"]["results_csv"])[2])
    print(f"{users['imported']} imported, {users['updated']} updated, {users['failed']} refused")
    for error in users["errors"]:
        print(f"row {error['row']}: {error['message']} {error['fix']}")
    return 2 if users["failed"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: sync.py PEOPLE.csv RESULTS.csv")
    sys.exit(main(*sys.argv[1:]))
