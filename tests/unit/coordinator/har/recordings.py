"""HAR files for tests, in the form in which Chrome writes them."""

import json
from datetime import UTC, datetime

BEGAN = 1_795_932_933.0
"""Seconds since 1970."""


def pairs(**values):
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def entry(url, at, *, method="GET", kind=None, status=200, reply=None, body=None, **more):
    """An HTTP request, `at` seconds after the beginning."""
    mime, text = body or ("", None)
    content = {"mimeType": "application/json", "text": json.dumps(reply)} if reply else {}
    return {
        "startedDateTime": datetime.fromtimestamp(BEGAN + at, UTC).isoformat(),
        "time": 10.0,
        "_resourceType": kind,
        "request": {
            "method": method,
            "url": url,
            "headers": pairs(**more.get("headers", {})),
            "postData": {"mimeType": mime, "text": text} if text else None,
        },
        "response": {
            "status": status,
            "headers": pairs(**more.get("reply_headers", {})),
            "content": content,
        },
    }


def socket(url, at, messages, **headers):
    """A WebSocket; messages are (seconds, direction, opcode, data)."""
    found = entry(url, at, kind="websocket", status=101, headers=headers)
    found["_webSocketMessages"] = [
        {"type": type_, "time": BEGAN + time, "opcode": opcode, "data": data}
        for time, type_, opcode, data in messages
    ]
    return found


def har(*entries):
    return json.dumps({"log": {"version": "1.2", "entries": entries}})
