"""Inbox: what comes into a Gmail mailbox, by its history; where that is forgotten, by its lists.

Read is whatever arrives, in the inbox, sorted away by a filter or taken for spam (a report may well
be), and not what the mailbox itself drafts and sends. A list cannot be asked for as much: it brings
inbox and spam. Nothing is searched for, as `q` is refused where headers alone were granted and its
index lags (Gmail API: guide "sync", reference history.list).
"""

import base64
import bisect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from portal.envelope import Gone, TryLater
from portal.providers.heads import MOST_HEADERS
from portal.providers.provider import ARRIVALS_MOST, Arrivals

Json = dict[str, Any]
#: What is listed where history does not reach back, one after the other.
LISTED = ("INBOX", "SPAM")
#: Of the mailbox's own making, unless it wrote to itself.
OWN = {"SENT", "DRAFT", "CHAT"}
#: So many pages of history without anything in them are passed over in one look.
EMPTY_PAGES = 50
#: So deep may the parts of a message lie in each other; what is deeper is left out.
DEEPEST = 20


class Asking(Protocol):
    """Calls one of Gmail's methods by its name; item: the id in its path."""

    def __call__(self, method: str, item: str = "", **query: str) -> Json: ...


@dataclass(frozen=True)
class Mark:
    """Up to where was read. history: the id from which on to ask; listing: the label whose list is
    being read, from which page on; relisted: because the history before was forgotten."""

    history: str
    listing: str = ""
    page: str = ""
    relisted: bool = False

    def __str__(self) -> str:
        return json.dumps([self.history, self.listing, self.page, self.relisted])

    @classmethod
    def read(cls, text: str) -> Self | None:
        """A mark as it was written; None where it is nothing of the kind."""
        try:
            history, listing, page, relisted = json.loads(text)
        except (ValueError, TypeError):
            return None
        good = str(history).isdecimal() and listing in ("", *LISTED)
        return cls(str(history), str(listing), str(page), bool(relisted)) if good else None

    def after(self, token: str) -> Self:
        """What is to be listed next; with no token the next label, and after the last nothing."""
        if token:
            return replace(self, page=token)
        further = (*LISTED, "")[LISTED.index(self.listing) + 1]
        return replace(self, listing=further, page="", relisted=self.relisted and bool(further))


def look(ask: Asking, text: str, since: datetime) -> Arrivals:
    """One page of what has come in after a mark, as Provider.arrivals promises it."""
    mark = Mark.read(text)
    if mark is None:
        return _begun(ask, since, relisted=bool(text))
    if mark.listing:
        return _continued(ask, mark, since)
    try:
        return _happened(ask, mark.history)
    except Gone:  # Google keeps it about a week, sometimes for hours
        return _begun(ask, since, relisted=True)


# -- by history ------------------------------------------------------------------------------------


def _happened(ask: Asking, start: str) -> Arrivals:
    records, further, newest = _records(ask, start)
    ids = dict.fromkeys(
        str(added["message"]["id"])
        for record in records
        for added in record.get("messagesAdded") or []
        if _came_in(added.get("message") or {})
    )
    # A page's token may not live as long as a mark has to; the id of its last record does.
    upto = str(records[-1]["id"]) if further else newest or start
    return Arrivals(tuple(ids), str(Mark(upto)), more=further)


def _records(ask: Asking, start: str) -> tuple[list[Json], bool, str]:
    """The next records, whether there are more, and up to where there are."""
    query = {"startHistoryId": start, "historyTypes": "messageAdded"}
    query["maxResults"] = str(ARRIVALS_MOST)
    for _ in range(EMPTY_PAGES):
        found = ask("history.list", **query)
        records, token = found.get("history") or [], found.get("nextPageToken")
        if records or not token:
            return records, bool(token), str(found.get("historyId") or "")
        query["pageToken"] = str(token)
    raise TryLater("Gmail’s history could not be read through.", "nothing but empty pages")


def _came_in(message: Mapping[str, Any]) -> bool:
    labels = set(message.get("labelIds") or ())
    return "id" in message and ("INBOX" in labels or not labels & OWN)


# -- by the lists ----------------------------------------------------------------------------------


def _begun(ask: Asking, since: datetime, *, relisted: bool) -> Arrivals:
    # Asked for first: what arrives while the lists are read is in the history after it.
    history = str(ask("getProfile").get("historyId") or "")
    if not history.isdecimal():
        raise TryLater("Gmail’s answer names no place in its history.", history[:100])
    return _listed(ask, Mark(history, LISTED[0], relisted=relisted), since)


def _continued(ask: Asking, mark: Mark, since: datetime) -> Arrivals:
    try:
        return _listed(ask, mark, since)
    except TryLater as problem:
        if not (mark.page and problem.words.startswith("400")):
            raise
        return _listed(ask, replace(mark, page="", relisted=True), since)  # its page is forgotten


def _listed(ask: Asking, mark: Mark, since: datetime) -> Arrivals:
    query = {"labelIds": mark.listing, "maxResults": str(ARRIVALS_MOST)}
    if mark.listing == "SPAM":
        query["includeSpamTrash"] = "true"
    if mark.page:
        query["pageToken"] = mark.page
    found = ask("messages.list", **query)
    ids = [str(one["id"]) for one in found.get("messages") or []]
    young = _no_older(ask, ids, since)
    further = len(young) == len(ids)
    then = mark.after(str(found.get("nextPageToken") or "") if further else "")
    # Always more: behind the last list lies what came in while they were read.
    return Arrivals(tuple(young), str(then), more=True, relisted=mark.relisted)


def _no_older(ask: Asking, ids: list[str], since: datetime) -> list[str]:
    """The first part of a list, newest first, that is no older: found by halving it."""

    def older(message_id: str) -> bool:
        try:
            at = moment(ask("messages.get", message_id, format="minimal").get("internalDate"))
        except Gone:
            return False
        return at is not None and at < since

    if not ids or not older(ids[-1]):
        return ids
    return ids[: bisect.bisect_left(ids, True, key=older)]


# -- one message -----------------------------------------------------------------------------------


def moment(milliseconds: Any) -> datetime | None:
    """A time as Gmail writes it, in milliseconds since 1970; nothing where it cannot be read."""
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def told_headers(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The headers of a message, or of a part of it, as Gmail tells them."""
    found = (payload.get("headers") or [])[:MOST_HEADERS]
    return tuple((str(one.get("name", "")), str(one.get("value", ""))) for one in found)


def from_base64url(text: str) -> bytes:
    """Nothing where it is none."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def put_together(payload: Mapping[str, Any], depth: int = 0) -> bytes:
    """A large message out of the parts that Gmail shows of it (format=full): all but its files."""
    headers = told_headers(payload)
    kept = [pair for pair in headers if pair[0].lower() != "content-transfer-encoding"]
    head = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in kept)
    return head.encode("utf-8", "replace") + b"\r\n" + _content(payload, depth)


def _content(payload: Mapping[str, Any], depth: int) -> bytes:
    parts = payload.get("parts") or []
    if not parts or depth >= DEEPEST:
        return from_base64url(str((payload.get("body") or {}).get("data") or ""))
    if str(payload.get("mimeType", "")).startswith("message/"):
        return b"".join(put_together(one, depth + 1) for one in parts)
    edge = _boundary(payload)
    inner = [b"--" + edge + b"\r\n" + put_together(one, depth + 1) + b"\r\n" for one in parts]
    return b"".join(inner) + b"--" + edge + b"--\r\n"


def _boundary(payload: Mapping[str, Any]) -> bytes:
    """As its Content-Type names it."""
    kind = next((v for name, v in told_headers(payload) if name.lower() == "content-type"), "")
    _, found, rest = kind.partition("boundary=")
    edge = rest[1:].partition('"')[0] if rest[:1] == '"' else rest.partition(";")[0].strip()
    return (edge if found else "").encode("utf-8", "replace")
