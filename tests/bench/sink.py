"""Sink: a Gmail look-alike that costs little CPU, so that a bench measures the portal and not it.

    python -m tests.bench.sink

It answers just the calls the portal makes, each after the same latency (and takes mail by SMTP from
peers, letterbox.py), counts quota units in a sliding minute as Google does, and keeps every
accepted message's dispatch token with its moment. test_sink.py holds it to the local Google.
Steering: POST /_sink/settings with latency (seconds) and units_per_minute (0: no limit), GET
/_sink/state, GET /_sink/accepted, POST /_sink/reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import signal
import socket
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from portal.sandbox.quota import MINUTE, UNITS
from tests import servers
from tests.bench.caller import access_token_of, address_of
from tests.bench.letterbox import Letterbox

Json = dict[str, Any]
Answer = tuple[int, Json | None]

#: Of a mail's own bytes only the head is kept.
HEAD_BYTES = 16_384
LONGEST_WAIT = 600
STATUSES = {200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized"}
STATUSES |= {404: "Not Found", 429: "Too Many Requests"}
HEADER = re.compile(rb"(?im)^(from|message-id|x-sendwright-dispatch):[ \t]*((?:.*\r\n[ \t])*.*)\r")


@dataclass(frozen=True)
class Mail:
    """What is kept of one message."""

    id: str
    sender: str
    token: str
    at: float

    def brief(self, label: str) -> Json:
        return {"id": self.id, "threadId": self.id, "labelIds": [label]}

    def drawn(self, label: str) -> Json:
        headers = {
            "From": self.sender,
            "Message-ID": f"<{self.id}@mail.example>",
            "X-Sendwright-Dispatch": self.token,
        }
        return self.brief(label) | {
            "snippet": "",
            "sizeEstimate": 0,
            "historyId": "1",
            "internalDate": str(int(self.at * 1000)),
            "payload": {
                "mimeType": "multipart/mixed",
                "headers": [{"name": name, "value": value} for name, value in headers.items()],
            },
        }


@dataclass
class Box:
    """One mailbox: its drafts, its sent copies, the units it spent."""

    drafts: dict[str, Mail] = field(default_factory=dict)
    sent: dict[str, Mail] = field(default_factory=dict)
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    in_window: int = 0
    units: int = 0

    def spend(self, units: int, limit: int) -> bool:
        """Whether the sliding minute still had room for it."""
        now = time.monotonic()
        while self.spent and self.spent[0][0] <= now - MINUTE:
            self.in_window -= self.spent.popleft()[1]
        if limit and self.in_window + units > limit:
            return False
        self.spent.append((now, units))
        self.in_window += units
        self.units += units
        return True


@dataclass
class Request:
    """One call: body holds at most the head of an uploaded mail."""

    verb: str
    path: str
    query: dict[str, list[str]]
    bearer: str
    host: str
    body: bytes


class Refusal(Exception):
    """A call that is not carried out, in Google's words."""

    def __init__(self, code: int, reason: str, message: str, status: str) -> None:
        super().__init__(message)
        item = {"message": message, "domain": "global", "reason": reason}
        error = {"code": code, "message": message, "errors": [item], "status": status}
        self.answer: Answer = code, {"error": error}


class Sink:
    """All mailboxes, and the calls upon them."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.units_per_minute = 0
        self.ids = 0
        self.forget()

    def forget(self) -> None:
        self.boxes: dict[int, Box] = defaultdict(Box)
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self.accepted: list[tuple[float, int, str]] = []

    # -- whose call, and which --------------------------------------------------------------------

    def answer(self, asked: Request) -> Answer:
        try:
            if asked.path.startswith("/_sink/"):
                return self.steered(asked)
            if "/gmail/v1/users/me/" not in asked.path:
                return self.signing_in(asked)
            return self.mail_call(asked)
        except Refusal as refusal:
            return refusal.answer

    def mail_call(self, asked: Request) -> Answer:
        number = _box_number(asked.bearer)
        rest = asked.path.partition("/users/me/")[2]
        noun, _, name = rest.partition("/")
        method, deed = self._deed(asked.verb, noun, name)
        self.calls[method] += 1
        box = self.boxes[number]
        if not box.spend(UNITS[method], self.units_per_minute):
            self.refused += 1
            raise Refusal(429, "rateLimitExceeded", QUOTA, "RESOURCE_EXHAUSTED")
        return deed(number, box, name, asked)

    def _deed(self, verb: str, noun: str, name: str) -> tuple[str, Callable[..., Answer]]:
        if noun == "drafts" and verb == "POST":
            return ("drafts.send", self.send_draft) if name else ("drafts.create", self.put_draft)
        if noun == "messages" and verb == "POST":
            return "messages.send", self.send
        found = DEEDS.get((verb, noun, bool(name)))
        if found is None:
            raise NOT_FOUND
        return found[0], getattr(self, found[1])

    # -- mail -------------------------------------------------------------------------------------

    def addresses(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        own = {
            "sendAsEmail": address_of(number),
            "displayName": "Bright Spark Plumbing",
            "replyToAddress": "",
            "signature": "",
            "isPrimary": True,
            "isDefault": True,
        }
        return 200, {"sendAs": [own]}

    def put_draft(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        if name and name not in box.drafts:
            raise NOT_FOUND
        mail = self._mail(asked.body)
        draft = name or f"r{self.ids}"
        box.drafts[draft] = mail
        return 200, {"id": draft, "message": mail.brief("DRAFT")}

    def get_draft(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        drawn = _among(box.drafts, name).drawn("DRAFT")
        if asked.query.get("format") == ["minimal"]:
            del drawn["payload"]
        return 200, {"id": name, "message": drawn}

    def list_drafts(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        stubs = [
            {"id": draft, "message": {"id": mail.id, "threadId": mail.id}}
            for draft, mail in reversed(box.drafts.items())
        ]
        most = int(asked.query.get("maxResults", ["100"])[0])
        listed: Json = {"drafts": stubs[:most]} if stubs else {}
        return 200, listed | {"resultSizeEstimate": len(stubs)}

    def delete_draft(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        _among(box.drafts, name)
        del box.drafts[name]
        return 204, None

    def send_draft(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        draft = str(json.loads(asked.body).get("id"))
        mail = _among(box.drafts, draft)
        del box.drafts[draft]
        return self._accept(number, box, mail)

    def send(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        return self._accept(number, box, self._mail(asked.body))

    def get_message(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        drawn = _among(box.sent, name).drawn("SENT")
        del drawn["snippet"]  # who may see headers alone sees no text either
        return 200, drawn

    def list_messages(self, number: int, box: Box, name: str, asked: Request) -> Answer:
        most = int(asked.query.get("maxResults", ["100"])[0])
        stubs = [{"id": one, "threadId": one} for one in list(box.sent)[-most:][::-1]]
        listed: Json = {"messages": stubs} if stubs else {}
        return 200, listed | {"resultSizeEstimate": len(stubs)}

    def _accept(self, number: int, box: Box, mail: Mail) -> Answer:
        sent = Mail(self._new_id(), mail.sender, mail.token, time.time())
        box.sent[sent.id] = sent
        self.accepted.append((sent.at, number, sent.token))
        return 200, sent.brief("SENT")

    def taken(self) -> None:
        """A mail came by SMTP: it is counted, and nothing is known of it."""
        self.accepted.append((time.time(), 0, ""))

    def _mail(self, head: bytes) -> Mail:
        if not head:
            raise Refusal(400, "invalidArgument", "No message", "INVALID_ARGUMENT")
        found = {name.lower(): b" ".join(value.split()) for name, value in HEADER.findall(head)}
        return Mail(
            self._new_id(),
            found.get(b"from", b"").decode(errors="replace"),
            found.get(b"x-sendwright-dispatch", b"").decode(),
            time.time(),
        )

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.ids:016x}"

    # -- signing in -------------------------------------------------------------------------------

    def signing_in(self, asked: Request) -> Answer:
        if asked.path == "/.well-known/openid-configuration":
            here = f"http://{asked.host}"
            names = ("token", "revoke", "userinfo", "authorize")
            ends = {f"{name}_endpoint": f"{here}/{name}" for name in names}
            return 200, {"issuer": here, "jwks_uri": f"{here}/certs"} | ends
        if asked.path != "/token":
            raise NOT_FOUND
        self.calls["token"] += 1
        told = parse_qs(asked.body.decode())
        kind, _, number = told.get("refresh_token", [""])[0].partition("-")
        if kind != "refresh" or not number.isdecimal():
            return 400, {"error": "invalid_grant", "error_description": "Bad Request"}
        self.ids += 1
        return 200, {
            "access_token": access_token_of(int(number), self.ids),
            "expires_in": 3599,
            "scope": "openid",
            "token_type": "Bearer",
        }

    # -- steering ---------------------------------------------------------------------------------

    def steered(self, asked: Request) -> Answer:
        what = asked.path.removeprefix("/_sink/")
        if what == "accepted":
            start = int(asked.query.get("from", ["0"])[0])
            return 200, {"accepted": self.accepted[start:]}
        if what == "settings":
            told = json.loads(asked.body)
            self.latency = float(told.get("latency", self.latency))
            self.units_per_minute = int(told.get("units_per_minute", self.units_per_minute))
        elif what == "reset":
            self.forget()
        return 200, self.state()

    def state(self) -> Json:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "accepted": len(self.accepted),
            "refused": self.refused,
            "calls": dict(self.calls),
            "units": sum(box.units for box in self.boxes.values()),
            "cpu": used.ru_utime + used.ru_stime,
        }


QUOTA = (
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of "
    "service 'gmail.googleapis.com' for consumer 'project_number:202620262026'."
)
UNKNOWN_TOKEN = "Request had invalid authentication credentials."
NOT_FOUND = Refusal(404, "notFound", "Requested entity was not found.", "NOT_FOUND")
#: By verb, noun, and whether one is named.
DEEDS = {
    ("PUT", "drafts", True): ("drafts.update", "put_draft"),
    ("GET", "drafts", True): ("drafts.get", "get_draft"),
    ("GET", "drafts", False): ("drafts.list", "list_drafts"),
    ("DELETE", "drafts", True): ("drafts.delete", "delete_draft"),
    ("GET", "messages", True): ("messages.get", "get_message"),
    ("GET", "messages", False): ("messages.list", "list_messages"),
    ("GET", "settings", True): ("settings.sendAs.list", "addresses"),
}


def _among(mails: dict[str, Mail], name: str) -> Mail:
    if name not in mails:
        raise NOT_FOUND
    return mails[name]


def _box_number(bearer: str) -> int:
    kind, _, rest = bearer.partition("-")
    number = rest.partition("-")[0]
    if kind != "access" or not number.isdecimal():
        raise Refusal(401, "authError", UNKNOWN_TOKEN, "UNAUTHENTICATED")
    return int(number)


# -- the wire --------------------------------------------------------------------------------------


class Line(asyncio.Protocol):
    """One kept-open HTTP/1.1 connection: one call at a time, each answered after the latency."""

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink, self._loop = sink, loop
        self._buffer = bytearray()
        self._asked: Request | None = None
        self._missing = 0

    def connection_made(self, transport: Any) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._asked is None:
            data = self._begin(data)
        if self._asked is not None:
            self._take(data)

    def _begin(self, data: bytes) -> bytes:
        """Read the head once it is whole; what follows it."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = self._buffer[:end].decode("latin-1"), bytes(self._buffer[end + 4 :])
        self._buffer.clear()
        first, *lines = head.split("\r\n")
        verb, target, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        parts = urlsplit(target)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        query = parse_qs(parts.query)
        self._missing = int(headers.get("content-length", "0"))
        self._asked = Request(verb, parts.path, query, bearer, headers.get("host", ""), b"")
        return rest

    def _take(self, data: bytes) -> None:
        asked = self._asked
        assert asked is not None
        self._missing -= len(data)
        if len(asked.body) < HEAD_BYTES:
            asked.body += data[: HEAD_BYTES - len(asked.body)]
        if self._missing > 0:
            return
        self._asked = None
        status, told = self._sink.answer(asked)
        answer = _written(status, told)
        steering = asked.path.startswith("/_sink/")
        if self._sink.latency and not steering:
            self._loop.call_later(self._sink.latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _written(status: int, told: Json | None) -> bytes:
    body = b"" if told is None else json.dumps(told).encode()
    kind = "" if told is None else "Content-Type: application/json; charset=UTF-8\r\n"
    head = f"HTTP/1.1 {status} {STATUSES[status]}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve() -> None:
    """Answer until SIGTERM; the ports of HTTP and SMTP are the one line printed."""
    loop = asyncio.get_running_loop()
    sink = Sink()
    here = {"host": "127.0.0.1", "port": 0, "backlog": 1024}
    web = await loop.create_server(lambda: Line(sink, loop), **here)
    post = await loop.create_server(lambda: Letterbox(sink.taken, lambda: sink.latency), **here)
    print(*(one.sockets[0].getsockname()[1] for one in (web, post)), flush=True)
    ended = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, ended.set)
    await ended.wait()


# -- for those who bench ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """A sink in a process of its own."""

    url: str
    smtp_port: int

    def steer(self, **settings: float) -> None:
        requests.post(f"{self.url}/_sink/settings", json=settings, timeout=10).raise_for_status()

    def reset(self) -> None:
        requests.post(f"{self.url}/_sink/reset", timeout=10).raise_for_status()

    def state(self) -> Json:
        found: Json = requests.get(f"{self.url}/_sink/state", timeout=30).json()
        return found

    def accepted(self, start: int = 0) -> list[tuple[float, int, str]]:
        """Moment, mailbox and token of each accepted message but the first `start`, in order."""
        answer = requests.get(f"{self.url}/_sink/accepted?from={start}", timeout=60)
        return [(float(at), int(box), str(token)) for at, box, token in answer.json()["accepted"]]


@contextlib.contextmanager
def running(home: Path, **settings: float) -> Iterator[Running]:
    """A sink of one's own; its log lies in `home`."""
    log = home / "sink.log"
    command = [sys.executable, "-m", "tests.bench.sink"]
    with servers.process("Sink", command, {"PYTHONPATH": str(servers.ROOT)}, log) as child:
        servers.wait_for(lambda: log.read_text().endswith("\n"), child)
        web, post = log.read_text().split()
        found = Running(f"http://127.0.0.1:{web}", int(post))
        found.steer(**settings)
        yield found


if __name__ == "__main__":
    asyncio.run(serve())
