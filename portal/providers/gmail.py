"""Gmail by its REST API v1: drafts as the commit token, the sent copy as the proof.

Calls go over kept-open connections and are never repeated by the client: a POST that got no answer
may have been carried out. Error shapes and limits: Gmail API guides "handle-errors" and "quota";
which scope allows which method: the API's discovery document, revision 20261005.
"""

import html
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from urllib3.exceptions import HTTPError

from portal import pace
from portal.envelope import (
    DISPATCH_HEADER,
    Gone,
    NeedsPermission,
    NeedsSignIn,
    OperatorProblem,
    OutcomeUnknown,
    ProviderAnswer,
    Receipt,
    Refused,
    SentCopy,
    TryLater,
)
from portal.providers import gmail_inbox
from portal.providers.gmail_inbox import from_base64url, moment, put_together, told_headers
from portal.providers.heads import headers_of
from portal.providers.provider import (
    INCOMING_LARGEST,
    Abilities,
    Access,
    Arrivals,
    Cannot,
    Incoming,
    ListedAddress,
    Permission,
    Provider,
)
from portal.providers.sent import SentList
from portal.providers.wire import (
    IN_BETWEEN,
    WHILE_LOOKED_INTO,
    TooMuch,
    broken,
    clock_ahead,
    connections,
    in_between,
    object_in,
    patience,
    read_up_to,
    unclear,
    words_of,
)

SCOPE = "https://www.googleapis.com/auth/gmail."
SIGN_IN_SCOPES = ("openid", "email", "profile")
#: What it takes to send, to see the send-from addresses, and to prove the From.
WANTED_SCOPES = (SCOPE + "compose", SCOPE + "settings.basic", SCOPE + "metadata")
FULL_SCOPES = (*SIGN_IN_SCOPES, *WANTED_SCOPES)
SEND_ONLY_SCOPES = (*SIGN_IN_SCOPES, SCOPE + "send")
#: Instead of the narrow ones, where whole messages may be read. Never beside metadata: Gmail then
#: refuses them all the same.
WHOLE_SCOPES = (*SIGN_IN_SCOPES, SCOPE + "compose", SCOPE + "readonly")
READERS = {SCOPE + "readonly", SCOPE + "modify", "https://mail.google.com/"}
WRITERS = {SCOPE + "compose", SCOPE + "modify", "https://mail.google.com/"}
#: What a broader permission makes needless.
COVERS = dict.fromkeys(READERS, frozenset({SCOPE + "settings.basic", SCOPE + "metadata"}))

PERMISSIONS = {
    SCOPE + "compose": Permission(
        "Manage drafts and send emails",
        "the portal cannot send from this mailbox",
    ),
    SCOPE + "settings.basic": Permission(
        "See, edit, create or change your email settings and filters in Gmail",
        "the portal cannot see which send-from addresses are verified",
    ),
    SCOPE + "metadata": Permission(
        "View your email message metadata such as labels and headers, but not the email body",
        "the portal cannot read back which address a message really left from",
    ),
    SCOPE + "readonly": Permission(
        "View your email messages and settings",
        "the portal cannot read why a message came back",
    ),
    SCOPE + "send": Permission(
        "Send email on your behalf",
        "the portal cannot send from this mailbox",
    ),
}


@dataclass(frozen=True)
class Call:
    """One of Gmail's methods. name: as in pace.UNITS; kind: what is uploaded or told.

    carries: it brings the message, or the draft that holds it, a step further, so that a refusal
    may be of the message. sends: by it the message may leave. most: bytes of an answer that is
    wanted, 0 for any number.
    """

    name: str
    verb: str
    path: str
    kind: str = ""
    carries: bool = False
    sends: bool = False
    most: int = 0


MAIL, TOLD = "message/rfc822", "application/json"
LIST_ADDRESSES = Call("settings.sendAs.list", "GET", "/settings/sendAs")
LIST_SENT = Call("messages.list", "GET", "/messages")
READ_SENT = Call("messages.get", "GET", "/messages/{}")
LIST_DRAFTS = Call("drafts.list", "GET", "/drafts")
READ_DRAFT = Call("drafts.get", "GET", "/drafts/{}")
MAKE_DRAFT = Call("drafts.create", "POST", "/drafts", MAIL, carries=True)
PUT_DRAFT = Call("drafts.update", "PUT", "/drafts/{}", MAIL, carries=True)
DROP_DRAFT = Call("drafts.delete", "DELETE", "/drafts/{}")
SEND_DRAFT = Call("drafts.send", "POST", "/drafts/send", TOLD, carries=True, sends=True)
SEND = Call("messages.send", "POST", "/messages/send", MAIL, carries=True, sends=True)

#: The answer to a message of the largest size, in base64, and what stands around it.
MOST_ANSWERED = INCOMING_LARGEST * 4 // 3 + 64 * 1024
FETCH = Call("messages.get", "GET", "/messages/{}", most=MOST_ANSWERED)
#: By their names, for who reads what comes in.
BY_NAME = {
    "getProfile": Call("getProfile", "GET", "/profile"),
    "history.list": Call("history.list", "GET", "/history"),
    "messages.list": LIST_SENT,
    "messages.get": READ_SENT,
}
#: How a message is asked for, until one answer is no larger than wanted.
WHOLE_FORMS, HEADERS_FORMS = ("raw", "full", "metadata", "minimal"), ("metadata", "minimal")

LIMIT_REASONS = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "quotaExceeded",
}
#: Sent is listed by so many ids at once (Gmail's most; 5 quota units), in so many pages at most for
#: one look-up; only who settles a restored database lists more.
SENT_PAGE, SENT_PAGES, ALL_PAGES = 500, 40, 1000
#: At most so many sent copies are read for one look-up, and drafts (20 quota units each).
SENT_MOST, DRAFTS_MOST = 250, 50
#: Gmail's clock and ours count as one up to this far apart; so late may Gmail take what it was
#: handed.
CLOCKS_APART, ARRIVES_WITHIN = timedelta(minutes=5), timedelta(minutes=15)
#: Gmail's own lock-outs last at most a day; where the day's limit is reached and no moment is
#: named, it is tried again every hour.
LONGEST_WAIT, AN_HOUR = 24 * 3600.0, 3600.0
LIMIT_REACHED = "Gmail's sending limit is reached for now."
NOT_LET_IN = "Google does not let this portal in: its project at Google must be put right."
#: So Gmail refuses a message for what it is: 400, 413.
OF_THE_MESSAGE = (400, 413)
RETRY_AFTER = re.compile(r"Retry after (\S+)")


def abilities(scopes: set[str]) -> Abilities:
    """What a mailbox offers with these permissions."""
    drafts, reads = bool(scopes & WRITERS), bool(scopes & READERS)
    narrow = SCOPE + "metadata" in scopes
    return Abilities(
        send=drafts or SCOPE + "send" in scopes,
        two_phase=drafts,
        list_addresses=reads or SCOPE + "settings.basic" in scopes,
        read_sent=reads or narrow,
        incoming=Access.HEADERS if narrow else Access.WHOLE if reads else Access.NONE,
    )


class Gmail(Provider):
    """One Gmail mailbox. `token(refused)` gives an access token, another than the one refused.

    spend: told the name of each call (as in pace.UNITS) right before it is made; what it raises
    keeps it from being made. web: where its owner sees this mailbox.
    """

    label = "Gmail"
    tariff = pace.TARIFFS["gmail"]

    def __init__(
        self,
        api_url: str,
        scopes: set[str],
        token: Callable[[str], str],
        timeout: float,
        spend: Callable[[str], None] = lambda name: None,
        *,
        web: str = "",
    ) -> None:
        self.spend = spend
        self._web = web
        self._api_url, self._below = api_url, urlsplit(api_url).path
        self.abilities = abilities(scopes)
        self._token = token
        self._bearer = ""
        self._timeout = patience(timeout)
        self._dated = "", datetime.now(UTC)  # the Date of its last answer, and when it came

    # -- reading ---------------------------------------------------------------------------------

    def addresses(self) -> list[ListedAddress]:
        """The send-from addresses Gmail lists for this mailbox."""
        listed = self._call(LIST_ADDRESSES).get("sendAs")
        if not listed:  # every account has its own: an empty list would take every address away
            raise TryLater("Gmail's list of send-from addresses came back empty.")
        return [_listed(one) for one in listed]

    def sent_copy(self, message_id: str) -> SentCopy:
        """What the copy in Sent says. Raises Gone when there is none."""
        wanted = ["From", "To", "Subject", "Message-ID", DISPATCH_HEADER]
        query = [("format", "metadata"), *(("metadataHeaders", name) for name in wanted)]
        return _sent_copy(self._call(READ_SENT, message_id, query))

    def find_sent(self, token: str, about: datetime) -> SentCopy | None:
        """The sent copy that bears our dispatch header, taken about a moment by our clock."""
        # `q` is refused under the metadata scope and its index lags, so copies are compared one by
        # one, those first that left just when ours was handed over.
        sent = self._sent_list(SENT_PAGES)
        near = itertools.chain.from_iterable(
            sent.around(at, CLOCKS_APART, ARRIVES_WITHIN) for at in self._by_its_clock(about)
        )
        found = (one for one in itertools.islice(near, SENT_MOST) if one.token == token)
        return next(found, None)

    def find_sent_since(self, token: str, moment: datetime, looks: int) -> SentCopy | None:
        """The sent copy that bears our dispatch header, whenever it left since a moment.

        looks: how many have been before. Each reads SENT_MOST copies at most and goes on, further
        back, where the one before ended.
        """
        sent = self._sent_list(SENT_PAGES)
        since = min(self._by_its_clock(moment)) - CLOCKS_APART
        part = sent.part_since(since, SENT_MOST, looks)
        return next((one for one in part if one.token == token), None)

    def sent_since(self, moment: datetime) -> list[str]:
        """The ids of all that was sent since a moment, newest first."""
        sent = self._sent_list(ALL_PAGES)
        return sent.since(min(self._by_its_clock(moment)))

    def _by_its_clock(self, moment: datetime) -> list[datetime]:
        """When a moment of our clock was by Gmail's. Two where they stand apart: as ours goes now,
        and as it may have gone then, for somebody may have put it wrong since."""
        ahead = clock_ahead(*self._dated)
        if ahead is None or abs(ahead) <= CLOCKS_APART:
            return [moment]
        return [moment + ahead, moment]

    def _sent_list(self, most_pages: int) -> SentList:
        """Its first page is asked for at once: the answer tells Gmail's clock besides."""
        pages = self._sent_ids()
        pages = itertools.chain([next(pages)], pages)
        return SentList(pages, self._sent_copy_if_there, most_pages)

    def _sent_copy_if_there(self, message_id: str) -> SentCopy | None:
        try:
            return self.sent_copy(message_id)
        except Gone:  # its owner has just thrown it away
            return None

    def _sent_ids(self) -> Iterator[list[str]]:
        query = {"labelIds": "SENT", "maxResults": str(SENT_PAGE)}
        for found in self._pages(LIST_SENT, query):
            yield [str(one["id"]) for one in found.get("messages", [])]

    def find_draft(self, token: str) -> str | None:
        """The id of the draft that bears our dispatch header, if one was left behind."""
        newest = itertools.islice(self.drafts(), DRAFTS_MOST)
        return next((draft_id for draft_id, theirs in newest if theirs == token), None)

    def drafts(self) -> Iterator[tuple[str, str]]:
        """The drafts, newest first: id, and our dispatch header or nothing."""
        for found in self._pages(LIST_DRAFTS, {"maxResults": str(DRAFTS_MOST)}):
            for one in found.get("drafts", []):
                try:
                    draft = self._call(READ_DRAFT, str(one["id"]), {"format": "metadata"})
                except Gone:  # its owner has just thrown it away
                    continue
                theirs = _headers(draft.get("message", {})).get(DISPATCH_HEADER.lower(), "")
                yield str(one["id"]), theirs

    def _pages(self, call: Call, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        while True:
            found = self._call(call, query=query)
            yield found
            if not found.get("nextPageToken"):
                return
            query = {**query, "pageToken": str(found["nextPageToken"])}

    def has_draft(self, draft_id: str) -> bool:
        """Whether the draft is still there: if so, it was certainly not sent."""
        try:
            self._call(READ_DRAFT, draft_id, {"format": "minimal"})
        except Gone:
            return False
        return True

    # -- what comes in ---------------------------------------------------------------------------

    def arrivals(self, mark: str, *, since: datetime) -> Arrivals:
        self._check_reads_incoming()
        return gmail_inbox.look(self._ask, mark, since)

    def incoming(self, message_id: str, *, whole: bool = True) -> Incoming:
        self._check_reads_incoming()
        whole = whole and self.incoming_access is Access.WHOLE
        for form in WHOLE_FORMS if whole else HEADERS_FORMS:
            try:
                found = self._call(FETCH, message_id, {"format": form})
            except TooMuch:
                continue
            return self._incoming(found, form)
        raise TryLater("Gmail’s answer is longer than any of its answers.", message_id)

    def _incoming(self, found: Mapping[str, Any], form: str) -> Incoming:
        payload, raw = found.get("payload") or {}, None
        if form == "raw":
            raw = from_base64url(str(found.get("raw") or ""))
        elif form == "full":
            raw = put_together(payload)[:INCOMING_LARGEST]
        message_id = str(found["id"])
        return Incoming(
            id=message_id,
            thread_id=str(found.get("threadId", "")),
            at=moment(found.get("internalDate")),
            raw=raw,
            headers=headers_of(raw or b"") if form == "raw" else told_headers(payload),
            snippet=html.unescape(str(found.get("snippet") or "")),
            size=int(found.get("sizeEstimate") or 0),
            link=f"{self._web}/#all/{message_id}" if self._web else "",
        )

    def _ask(self, method: str, item: str = "", **query: str) -> dict[str, Any]:
        return self._call(BY_NAME[method], item, query)

    def _check_reads_incoming(self) -> None:
        if not self.reads_incoming:
            raise Cannot("This mailbox did not let the portal read what comes in.")

    # -- writing ---------------------------------------------------------------------------------

    def create_draft(self, mime: bytes) -> str:
        """Leave the message as a draft; nothing is sent by it. Returns the draft's id."""
        made = self._call(MAKE_DRAFT, body=mime)
        if not made.get("id"):
            raise TryLater("Gmail's answer names no draft.", str(made)[:200])
        return str(made["id"])

    def restore_draft(self, draft_id: str, mime: bytes) -> str:
        self._call(PUT_DRAFT, draft_id, body=mime)
        return draft_id

    def delete_draft(self, draft_id: str) -> None:
        """Take a draft away, so that nobody sends by hand what was refused or cancelled."""
        try:
            self._call(DROP_DRAFT, draft_id)
        except Gone:
            return

    def send_draft(self, draft_id: str) -> Receipt:
        """Send a draft. Raises OutcomeUnknown unless the answer is certain; Gone if it vanished."""
        return _receipt(self._call(SEND_DRAFT, body=json.dumps({"id": draft_id}).encode()))

    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        # Gmail takes both from the message itself.
        return _receipt(self._call(SEND, body=mime))

    # -- the wire --------------------------------------------------------------------------------

    def _call(
        self,
        call: Call,
        item: str = "",
        query: Mapping[str, Any] | list[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Make a call; item: the id that its path names. Raises what answer_for() says."""
        url = self._url(call, item, query or {})
        status, answer = self._once(call, url, body, renew=False)
        if status == 401 and _error(answer):  # of Google's own, so nothing was sent by it
            status, answer = self._once(call, url, body, renew=True)
        if 200 <= status < 300:
            return _parsed(answer, call.sends)
        raise answer_for(status, answer, call)

    def _url(self, call: Call, item: str, query: Mapping[str, Any] | list[tuple[str, str]]) -> str:
        prefix = "/gmail/v1/users/me"
        if call.kind == MAIL:
            prefix, query = f"/upload{prefix}", {"uploadType": "media"}
        url = self._below + prefix + call.path.format(quote(item))
        return f"{url}?{urlencode(query)}" if query else url

    def _once(self, call: Call, url: str, body: bytes | None, *, renew: bool) -> tuple[int, bytes]:
        if renew or not self._bearer:
            self._bearer = self._token(self._bearer)
        headers = {"Authorization": f"Bearer {self._bearer}"}
        if call.kind:
            headers["Content-Type"] = call.kind
        self.spend(call.name)
        try:
            answer = connections(self._api_url).urlopen(
                call.verb, url, body, headers, retries=False, redirect=False,
                timeout=self._timeout, preload_content=not call.most,
            )  # fmt: skip
            data = read_up_to(answer, call.most) if call.most else answer.data
        except HTTPError as failure:
            raise broken(failure, sends=call.sends, name="Gmail") from failure
        self._dated = answer.headers.get("Date") or "", datetime.now(UTC)
        return answer.status, data


@dataclass(frozen=True)
class GmailError:
    """An error as Google's APIs write it; details: the reasons it gives besides."""

    reason: str
    message: str
    details: str


def answer_for(status: int, body: bytes, call: Call) -> ProviderAnswer:
    """Sort what was answered instead of the thing asked for, by what happens next."""
    error, words = _error(body), _words(status, body)
    if status >= 500 or status == 408:
        return unclear("Gmail answered with an error of its own.", words, sends=call.sends)
    if error is None or status < 400:
        return _not_gmail(status, call, words)
    if status == 401:
        return NeedsSignIn("Gmail no longer accepts this mailbox's sign-in.", words)
    if status == 429 or error.reason in LIMIT_REASONS:
        return _limit(error.message, error.reason, words)
    if status == 404:
        return Gone("Gmail no longer has it.", words)
    return _refusal(status, error, call, words)


def _not_gmail(status: int, call: Call, words: str) -> ProviderAnswer:
    """No answer of Gmail's: something in between may have taken the call or passed it on."""
    if status < 400 or status == 429:  # by their meaning, it did neither
        return TryLater(IN_BETWEEN, words, WHILE_LOOKED_INTO)
    return in_between(words, sends=call.sends)


def _refusal(status: int, error: GmailError, call: Call, words: str) -> ProviderAnswer:
    """What will not change by itself: of the mailbox, of the portal, or else of the message."""
    if status == 403:
        return _forbidden(error, words)
    if status == 400 and error.reason == "failedPrecondition":
        return NeedsSignIn("This Google account has no Gmail mailbox.", words)
    if status in OF_THE_MESSAGE and call.carries:
        return Refused(f"Gmail refused the message: {error.message or 'no reason given'}", words)
    return TryLater("Gmail did not take what the portal asked of it.", words, WHILE_LOOKED_INTO)


def _forbidden(error: GmailError, words: str) -> ProviderAnswer:
    if "insufficient" in error.reason.lower() or "SCOPE" in error.details:
        return NeedsPermission("The mailbox did not grant a permission this needs.", words)
    if error.reason == "domainPolicy":
        return NeedsPermission("The company's Google administrator has switched Gmail off.", words)
    return OperatorProblem(NOT_LET_IN, words)


def _parsed(answer: bytes, sends: bool) -> dict[str, Any]:
    if not answer and not sends:  # what a deletion answers
        return {}
    found = object_in(answer)
    if found is None:
        raise unclear("Gmail's answer could not be read.", repr(answer[:200]), sends=sends)
    return found


def _error(body: bytes) -> GmailError | None:
    """The error in an answer; None where the answer is not of Google's making."""
    try:
        error = json.loads(body)["error"]
        int(error["code"])
        first = (error.get("errors") or [{}])[0]
        return GmailError(
            str(first.get("reason") or error.get("status", "")),
            str(error.get("message", "")),
            " ".join(str(one.get("reason", "")) for one in error.get("details", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _words(status: int, body: bytes) -> str:
    error = _error(body)
    return words_of(status, f"{error.reason} {error.message}" if error else "", body)


def _limit(message: str, reason: str, words: str) -> TryLater:
    """Which of its limits Gmail means, and so how long to keep away."""
    named = _named_wait(message)
    if named is not None:
        return TryLater(LIMIT_REACHED, words, named, exact=True)
    if "Mail sending" in message or reason == "dailyLimitExceeded":
        return TryLater(LIMIT_REACHED, words, AN_HOUR)
    return TryLater(LIMIT_REACHED, words, too_fast="concurrent" not in message)


def _named_wait(message: str) -> float | None:
    """Seconds until the moment that the text names, and a little more: coming early moves it out.

    Nothing where none can be read.
    """
    named = RETRY_AFTER.search(message)
    if not named:
        return None
    try:
        until = datetime.fromisoformat(named.group(1).rstrip(".").replace("Z", "+00:00"))
        seconds = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    # Not all of a company's mailboxes in the same moment, where the same was named to each.
    return min(max(0.0, seconds + random.random()) + 1, LONGEST_WAIT)


def _listed(one: Mapping[str, Any]) -> ListedAddress:
    # The primary has no verificationStatus, nor have some same-domain ones that work: only
    # `pending` says no.
    pending = one.get("verificationStatus") == "pending"
    return ListedAddress(
        email=str(one["sendAsEmail"]).lower(),
        name=str(one.get("displayName", "")),
        verification="pending" if pending else "accepted",
        is_primary=bool(one.get("isPrimary")),
        is_default=bool(one.get("isDefault")),
    )


def _receipt(answer: Mapping[str, Any]) -> Receipt:
    if not answer.get("id"):
        raise OutcomeUnknown("Gmail's answer names no message.", str(answer)[:200])
    return Receipt(str(answer["id"]), str(answer.get("threadId", "")))


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    found = message.get("payload", {}).get("headers", [])
    return {str(one["name"]).lower(): str(one["value"]) for one in found}


def _sent_copy(message: Mapping[str, Any]) -> SentCopy:
    headers = _headers(message)
    return SentCopy(
        message_id=str(message["id"]),
        sender=headers.get("from", ""),
        internet_message_id=headers.get("message-id", ""),
        thread_id=str(message.get("threadId", "")),
        at=moment(message.get("internalDate")),
        token=headers.get(DISPATCH_HEADER.lower(), ""),
        to=headers.get("to", ""),
        subject=headers.get("subject", ""),
    )


_IN_BRACKETS = re.compile(r"<([^<>]*)>\s*$")


def address_of(header: str) -> str:
    """The bare address in a From header, even where a decoded name has lost its quotes."""
    found = _IN_BRACKETS.search(header)
    return (found.group(1) if found else parseaddr(header)[1]).strip().lower()
