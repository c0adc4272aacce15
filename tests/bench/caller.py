"""Caller: the least that makes the portal's calls for one mailbox of the sink.

It imports nothing heavy: a peer that forks for each mail pays for every page its parent holds.
"""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

DOMAIN = "brightspark.example"
UPLOAD = "/upload/gmail/v1/users/me/drafts?uploadType=media"
SEND = "/gmail/v1/users/me/drafts/send"
COPY = "/gmail/v1/users/me/messages/{}?format=metadata&metadataHeaders=From"


def address_of(box: int) -> str:
    """The one send-from address of the mailbox with this number."""
    return f"office{box}@{DOMAIN}"


def refresh_token_of(box: int) -> str:
    return f"refresh-{box}"


def access_token_of(box: int, serial: int = 0) -> str:
    return f"access-{box}-{serial}"


class Caller:
    """One kept-open connection with one mailbox's token."""

    def __init__(self, sink: str, box: int) -> None:
        where = urlsplit(sink)
        assert where.hostname is not None
        self._line = HTTPConnection(where.hostname, where.port)
        self._bearer = {"Authorization": f"Bearer {access_token_of(box)}"}

    def draft(self, mime: bytes) -> str:
        return str(self._call("POST", UPLOAD, mime, "message/rfc822")["id"])

    def send(self, draft: str) -> str:
        body = json.dumps({"id": draft}).encode()
        return str(self._call("POST", SEND, body, "application/json")["id"])

    def sender_of(self, message: str) -> str:
        headers = self._call("GET", COPY.format(message))["payload"]["headers"]
        return str(headers[0]["value"])

    def _call(self, verb: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {**self._bearer, "Content-Type": kind} if kind else self._bearer
        self._line.request(verb, path, body, headers)
        return json.loads(self._line.getresponse().read())
