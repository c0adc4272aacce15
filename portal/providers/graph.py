"""Graph: a Microsoft 365 mailbox by Microsoft Graph v1.0; drafts as the commit token.

Every request asks for immutable ids: a draft and, once it has left, its copy in Sent Items answer
to the same one (Graph: "outlook-immutable-id"), so the draft's id is the receipt and the proof's
address. A draft is never made anew in another's place: whoever still holds its id, such as a worker
that lost its lease, can send nothing but that one message, and Exchange sends it once.

What comes in is read by delta query, for the inbox alone: a delta is of one folder, and what a rule
moves elsewhere, or the spam filter, is not seen ("delta-query-messages", "message-delta").

What it says instead of the thing asked for is sorted in graph_answers.py, what it shows of messages
read in graph_messages.py. Graph: guide "use-the-api".
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from urllib3.exceptions import HTTPError

from portal import pace
from portal.envelope import (
    Gone,
    OnItsWay,
    Receipt,
    Refused,
    SentCopy,
    TryLater,
)
from portal.providers.graph_answers import (
    Call,
    Forgotten,
    answer_for,
    error_in,
    in_words,
    parsed,
    retry_after,
)
from portal.providers.graph_messages import (
    ARRIVED,
    HEADERS,
    PREVIEW,
    SIZE,
    mark_of,
    moment_of,
    sent_copy,
    shown,
    size_of,
    told_headers,
)
from portal.providers.provider import (
    ARRIVALS_MOST,
    INCOMING_LARGEST,
    Abilities,
    Access,
    Arrivals,
    Cannot,
    Incoming,
    Permission,
    Provider,
)
from portal.providers.rewriting import (
    LARGEST_AT_ONCE,
    MARK,
    File,
    body_of,
    repair,
    rewritten,
)
from portal.providers.wire import (
    IN_BETWEEN,
    WHILE_LOOKED_INTO,
    TooMuch,
    broken,
    connections,
    in_between,
    patience,
    read_up_to,
)

SIGN_IN_SCOPES = ("openid", "profile", "email", "offline_access")
READ_WRITE, SEND_MAIL, SEND_SHARED = "Mail.ReadWrite", "Mail.Send", "Mail.Send.Shared"
#: What lets the portal read what comes in, whole or its headers; with .Shared behind it, what comes
#: in to a shared mailbox.
WHOLE_READERS, HEADERS_READERS = {"Mail.Read", READ_WRITE}, {"Mail.ReadBasic"}
#: What it takes to send and to prove the From.
WANTED_SCOPES = (READ_WRITE, SEND_MAIL)
#: Beside these: the account's own name and addresses, and sending as a shared mailbox, which
#: Microsoft offers to the accounts of companies alone.
FULL_SCOPES = (*SIGN_IN_SCOPES, "User.Read", *WANTED_SCOPES, SEND_SHARED)

PERMISSIONS = {
    READ_WRITE: Permission(
        "Read and write access to your mail",
        "the portal cannot keep drafts, and so cannot tell whether a message left",
    ),
    SEND_MAIL: Permission("Send mail as you", "the portal cannot send from this mailbox"),
    SEND_SHARED: Permission(
        "Send mail on behalf of others or yourself",
        "the portal cannot send as a shared mailbox",
    ),
}


WHO = Call("me.get", "GET", "/me")
READ = Call("messages.get", "GET", "/me/messages/{}")
OUTBOX = Call("messages.get", "GET", "/me/mailFolders/outbox")
LIST_SENT = Call("messages.list", "GET", "/me/mailFolders/sentitems/messages")
LIST_DRAFTS = Call("messages.list", "GET", "/me/mailFolders/drafts/messages")
LIST_FILES = Call("messages.get", "GET", "/me/messages/{}/attachments")
CREATE = Call("messages.create", "POST", "/me/messages", carries=True)
CHANGE = Call("messages.update", "PATCH", "/me/messages/{}", carries=True)
DROP = Call("messages.delete", "DELETE", "/me/messages/{}")
ATTACH = Call("attachments.upload", "POST", "/me/messages/{}/attachments", carries=True)
DETACH = Call("attachments.upload", "DELETE", "/me/messages/{}/attachments/{}", carries=True)
BEGIN = Call(
    "attachments.upload", "POST", "/me/messages/{}/attachments/createUploadSession", carries=True
)
PUT = Call("attachments.upload", "PUT", "", carries=True)
SEND_DRAFT = Call("messages.send", "POST", "/me/messages/{}/send", carries=True, sends=True)
SEND = Call("messages.send", "POST", "/me/sendMail", carries=True, sends=True)

#: Of the inbox that is read; its path stands behind /me, or behind a shared mailbox's address.
DELTA = Call("messages.delta", "GET", "{}/mailFolders/inbox/messages/delta")
FETCH = Call("messages.get", "GET", "{}/messages/{}", most=INCOMING_LARGEST)
FETCH_MIME = Call("messages.value", "GET", "{}/messages/{}/$value", most=INCOMING_LARGEST, cut=True)

IMMUTABLE = 'IdType="ImmutableId"'
#: A delta takes no $top ("delta-query-messages").
BY_THE_PAGE = f"{IMMUTABLE}, odata.maxpagesize={ARRIVALS_MOST}"
#: A large file goes in pieces of whole 320 KiB (Graph: "attachment-createuploadsession").
PIECE = 10 * 320 * 1024
#: Lists come by so many at once, in so many pages at most.
PAGE, PAGES, DRAFTS_MOST = 500, 1000, 50
#: This far may Exchange's clock and ours stand apart.
CLOCKS_APART = timedelta(minutes=5)
#: Exchange hands over what it took within moments; the copy is looked for again after so many
#: seconds.
A_MOMENT = 3.0

LEAVING = "Microsoft has taken it, and it has not left yet."
TOO_LARGE_AT_ONCE = (
    "Without the permission to keep drafts, Microsoft takes mails of 3 MB with their files. "
    "Remove some files, or connect the mailbox again with every permission."
)


def abilities(scopes: set[str]) -> Abilities:
    """What a mailbox offers with these permissions. Nobody can list from where it may send."""
    sends = bool(scopes & {SEND_MAIL, SEND_SHARED})
    drafts = sends and READ_WRITE in scopes
    return Abilities(send=sends, two_phase=drafts, read_sent=drafts, incoming=access(scopes))


def access(scopes: set[str], *, shared: bool = False) -> Access:
    """What may be read of that which comes in to the account's own mailbox, or to a shared one."""
    end = ".Shared" if shared else ""
    if scopes & {one + end for one in WHOLE_READERS}:
        return Access.WHOLE
    return Access.HEADERS if scopes & {one + end for one in HEADERS_READERS} else Access.NONE


class Graph(Provider):
    """One Microsoft 365 mailbox. `token(refused)` gives an access token, another than the refused.

    settles: seconds for which Exchange may say nothing certain of what was handed to it. inbox: the
    address of a shared mailbox whose incoming mail is read instead of the account's own.
    """

    label = "Microsoft 365"
    tariff = pace.TARIFFS["microsoft"]

    def __init__(
        self,
        api_url: str,
        scopes: set[str],
        token: Callable[[str], str],
        timeout: float,
        *,
        settles: float = 60,
        spend: Callable[[str], None] = lambda name: None,
        inbox: str = "",
    ) -> None:
        self.spend = spend
        self.settles_after = settles
        self.abilities = replace(abilities(scopes), incoming=access(scopes, shared=bool(inbox)))
        self._inbox = inbox
        self._api_url, self._below = api_url, urlsplit(api_url).path
        self._token, self._bearer, self._outbox = token, "", ""
        self._timeout = patience(timeout)

    # -- reading ---------------------------------------------------------------------------------

    def owner(self) -> tuple[str, str]:
        """The account's name, and its mailbox's own address: nothing where it has none.

        Raises NeedsSignIn where its mailbox is not in Microsoft 365.
        """
        found = self._call(WHO, query={"$select": "displayName,mail"})
        name, email = str(found.get("displayName") or ""), str(found.get("mail") or "").lower()
        if email and self.two_phase:
            self._call(LIST_DRAFTS, query={"$select": "id", "$top": "1"})
        return name, email

    def candidates(self) -> list[str]:
        found = self._call(WHO, query={"$select": "mail,proxyAddresses"})
        proxies = [str(one) for one in found.get("proxyAddresses") or []]
        bare = [one[5:] for one in proxies if one[:5].lower() == "smtp:"]
        return list(dict.fromkeys(one.lower() for one in bare if "@" in one))

    def sent_copy(self, message_id: str) -> SentCopy:
        found = self._call(READ, message_id, query=shown())
        if found.get("isDraft"):
            raise OnItsWay(LEAVING, "isDraft is true", A_MOMENT)
        return sent_copy(found)

    def find_sent(self, token: str, about: datetime) -> SentCopy | None:
        found = self._marked(LIST_SENT, token)
        return sent_copy(found) if found else None

    def find_sent_since(self, token: str, moment: datetime, looks: int) -> SentCopy | None:
        return self.find_sent(token, moment)

    def sent_since(self, moment: datetime) -> list[str]:
        since = (moment - CLOCKS_APART).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {
            "$filter": f"sentDateTime ge {since}",
            "$orderby": "sentDateTime desc",
            "$select": "id",
            "$top": str(PAGE),
        }
        return [str(one["id"]) for one in self._listed(LIST_SENT, query)]

    def find_draft(self, token: str) -> str | None:
        found = self._marked(LIST_DRAFTS, token)
        return str(found["id"]) if found else None

    def drafts(self) -> Iterator[tuple[str, str]]:
        order = {"$orderby": "lastModifiedDateTime desc", "$top": str(DRAFTS_MOST)}
        for one in self._listed(LIST_DRAFTS, {**shown(), **order}):
            yield str(one["id"]), mark_of(one)

    def has_draft(self, draft_id: str) -> bool:
        try:
            found = self._call(READ, draft_id, query={"$select": "isDraft,parentFolderId"})
        except Gone:
            return False
        if found.get("isDraft") and found.get("parentFolderId") == self._outbox_id():
            raise OnItsWay(LEAVING, "it lies in the Outbox", A_MOMENT)
        return bool(found.get("isDraft"))

    def _outbox_id(self) -> str:
        if not self._outbox:
            self._outbox = str(self._call(OUTBOX, query={"$select": "id"}).get("id", ""))
        return self._outbox

    def _marked(self, call: Call, token: str) -> dict[str, Any] | None:
        """The newest message of a list that bears our mark with this token."""
        if not token.isalnum():
            return None
        mark = f"ep/id eq '{MARK}' and ep/value eq '{token}'"
        query = {**shown(), "$filter": f"singleValueExtendedProperties/any(ep: {mark})"}
        found = self._call(call, query={**query, "$top": "1"}).get("value") or []
        return found[0] if found else None

    def _listed(self, call: Call, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        target = self._url(call, (), query)
        for _ in range(PAGES):
            page = self._asked(call, target)
            yield from page.get("value") or []
            if "@odata.nextLink" not in page:
                return
            target = self._next(str(page["@odata.nextLink"]))

    def _next(self, link: str) -> str:
        """The next page's address, here. A link to anywhere else is not followed."""
        there, ours = urlsplit(link), urlsplit(self._api_url)
        if (there.scheme, there.netloc) != (ours.scheme, ours.netloc):
            raise TryLater(IN_BETWEEN, f"a next page at {there.netloc}", WHILE_LOOKED_INTO)
        return f"{there.path}?{there.query}"

    # -- what comes in ---------------------------------------------------------------------------

    def arrivals(self, mark: str, *, since: datetime) -> Arrivals:
        self._check_reads_incoming()
        target, relisted = _read_mark(mark)
        try:
            return self._came_in(target or self._beginning(since), relisted)
        except Forgotten:
            return self._came_in(self._beginning(since), relisted=True)

    def _beginning(self, since: datetime) -> str:
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"changeType": "created", "$select": "id,receivedDateTime"}
        return self._inbox_url(DELTA, query={**query, "$filter": f"receivedDateTime ge {moment}"})

    def _came_in(self, target: str, relisted: bool) -> Arrivals:
        page = self._asked(DELTA, target, prefer=BY_THE_PAGE)
        ids = [str(one["id"]) for one in page.get("value") or [] if "@removed" not in one]
        further, done = page.get("@odata.nextLink"), page.get("@odata.deltaLink")
        if not (further or done):
            raise TryLater("Microsoft’s answer does not say how to go on.", str(page)[:200])
        then = [self._next(str(further or done)), bool(relisted and further)]
        return Arrivals(tuple(ids), json.dumps(then), bool(further), relisted)

    def incoming(self, message_id: str, *, whole: bool = True) -> Incoming:
        self._check_reads_incoming()
        found = self._arrived(message_id)
        raw = None
        if whole and self.incoming_access is Access.WHOLE:
            raw = self._mime(message_id)
        return Incoming(
            id=message_id,
            thread_id=str(found.get("conversationId") or ""),
            at=moment_of(found.get("receivedDateTime")),
            raw=raw,
            headers=told_headers(found),
            snippet=str(found.get(PREVIEW) or ""),
            size=size_of(found) or len(raw or b""),
            link=str(found.get("webLink") or ""),
        )

    def _arrived(self, message_id: str) -> dict[str, Any]:
        query = {"$select": f"{ARRIVED},{HEADERS}"}
        if self.incoming_access is Access.WHOLE:
            query["$select"] += f",{PREVIEW}"
            query["$expand"] = f"singleValueExtendedProperties($filter=id eq '{SIZE}')"
        try:
            return self._asked(FETCH, self._inbox_url(FETCH, message_id, query=query))
        except TooMuch:  # a message of nothing but headers
            query["$select"] = ARRIVED
            return self._asked(FETCH, self._inbox_url(FETCH, message_id, query=query))

    def _mime(self, message_id: str) -> bytes | None:
        """The message as it would travel; None where Exchange cannot write it so."""
        try:
            target = self._inbox_url(FETCH_MIME, message_id)
            return self._answered(FETCH_MIME, target, None)[2]
        except TryLater as problem:
            if "ConversionFailed" in problem.words or "CannotBeConverted" in problem.words:
                return None
            raise

    def _inbox_url(self, call: Call, *items: str, query: Mapping[str, str] | None = None) -> str:
        root = f"/users/{quote(self._inbox, safe='@')}" if self._inbox else "/me"
        path = replace(call, path=call.path.replace("{}", root, 1))
        return self._url(path, items, query)

    def _check_reads_incoming(self) -> None:
        if not self.reads_incoming:
            raise Cannot("This mailbox did not let the portal read what comes in.")

    # -- writing ---------------------------------------------------------------------------------

    def create_draft(self, mime: bytes) -> str:
        wanted = rewritten(mime)
        told = wanted.whole if wanted.fits else wanted.fields
        made = self._call(CREATE, body=body_of(told))
        if not made.get("id"):
            raise TryLater("Microsoft's answer names no draft.", str(made)[:200])
        draft_id = str(made["id"])
        for one in () if wanted.fits else wanted.files:
            self._attach(draft_id, one)
        return draft_id

    def restore_draft(self, draft_id: str, mime: bytes) -> str:
        """The same draft, whatever became of it: what was changed by hand is put right in place.

        To make another and throw this one away would be no safer: whoever still holds its id might
        send it in the moment before, and then what is thrown away is the sent copy.
        """
        if not self.has_draft(draft_id):
            raise Gone("It is no longer a draft.", "isDraft is false")
        wanted = rewritten(mime)
        self._call(CHANGE, draft_id, body=body_of(wanted.changeable))
        found = self._call(LIST_FILES, draft_id).get("value") or []
        needed = repair(wanted.files, found)
        for file_id in needed.extra:
            self._call(DETACH, draft_id, file_id)
        for one in needed.missing:
            self._attach(draft_id, one)
        return draft_id

    def delete_draft(self, draft_id: str) -> None:
        """Throw it away, as long as it is a draft: by the same id its sent copy would go."""
        try:
            if self.has_draft(draft_id):
                self._call(DROP, draft_id)
        except Gone:
            return

    def send_draft(self, draft_id: str) -> Receipt:
        return self._sent(SEND_DRAFT, draft_id, message_id=draft_id)

    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        # Graph takes sender and recipients from the message itself.
        wanted = rewritten(mime)
        if not wanted.fits:
            raise Refused(TOO_LARGE_AT_ONCE, f"{len(mime)} bytes")
        return self._sent(SEND, body=body_of({"message": wanted.whole, "saveToSentItems": True}))

    def _sent(
        self, call: Call, *items: str, body: bytes | None = None, message_id: str = ""
    ) -> Receipt:
        """202 alone is acceptance; with a Retry-After it is so too, and the next message waits.

        Never is it sent again for that (Graph: "throttling"; msgraph-sdk issues on 202).
        """
        status, headers, answer = self._answered(call, self._url(call, items), body)
        if status != 202 or answer.lstrip().startswith(b"<"):
            raise in_between(in_words(status, answer), sends=True)
        waits = retry_after(headers) or 0
        words = f"202, Retry-After {headers.get('Retry-After')}" if waits else "202"
        return Receipt(message_id, words=words, rests=waits)

    def _attach(self, draft_id: str, one: File) -> None:
        if len(one.content) <= LARGEST_AT_ONCE:
            self._call(ATTACH, draft_id, body=body_of(one.as_json()))
            return
        about = {"attachmentType": "file", "name": one.name, "size": len(one.content)}
        told = {"AttachmentItem": {**about, "contentType": one.kind}}
        session = self._call(BEGIN, draft_id, body=body_of(told))
        self._upload(str(session.get("uploadUrl", "")), one.content)

    def _upload(self, address: str, content: bytes) -> None:
        """Piece by piece to where Graph says. The address itself is the permission: no token."""
        parts, size = urlsplit(address), len(content)
        if parts.scheme != "https" and parts.netloc != urlsplit(self._api_url).netloc:
            raise TryLater(IN_BETWEEN, "an upload without TLS", WHILE_LOOKED_INTO)
        where, path = f"{parts.scheme}://{parts.netloc}", f"{parts.path}?{parts.query}"
        for start in range(0, size, PIECE):
            piece = content[start : start + PIECE]
            span = f"bytes {start}-{start + len(piece) - 1}/{size}"
            headers = {"Content-Type": "application/octet-stream", "Content-Range": span}
            status, told, answer = self._once(PUT, path, piece, headers, where=where)
            if not 200 <= status < 300:
                raise answer_for(status, told, answer, PUT)

    # -- the wire --------------------------------------------------------------------------------

    def _call(
        self,
        call: Call,
        *items: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Make a call; items: the ids that its path names. Raises what answer_for() says."""
        return self._asked(call, self._url(call, items, query), body)

    def _asked(
        self, call: Call, target: str, body: bytes | None = None, prefer: str = IMMUTABLE
    ) -> dict[str, Any]:
        _, _, answer = self._answered(call, target, body, prefer)
        return parsed(answer)

    def _answered(
        self, call: Call, target: str, body: bytes | None, prefer: str = IMMUTABLE
    ) -> tuple[int, Mapping[str, str], bytes]:
        """A good answer, with a fresh token if need be."""
        for renew in (False, True):
            sent = self._headers(renew, body) | {"Prefer": prefer}
            status, headers, answer = self._once(call, target, body, sent)
            if not (
                status == 401 and error_in(answer)
            ):  # of Graph's own, so nothing was sent by it
                break
        if 200 <= status < 300:
            return status, headers, answer
        raise answer_for(status, headers, answer, call)

    def _headers(self, renew: bool, body: bytes | None) -> dict[str, str]:
        if renew or not self._bearer:
            self._bearer = self._token(self._bearer)
        headers = {"Authorization": f"Bearer {self._bearer}"}
        return headers if body is None else {**headers, "Content-Type": "application/json"}

    def _url(
        self, call: Call, items: Sequence[str] = (), query: Mapping[str, str] | None = None
    ) -> str:
        path = call.path.format(*(quote(one, safe="") for one in items))
        url = f"{self._below}/v1.0{path}"
        return f"{url}?{urlencode(query, safe='$', quote_via=quote)}" if query else url

    def _once(
        self, call: Call, target: str, body: bytes | None, headers: dict[str, str], where: str = ""
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.spend(call.name)
        if body is None and call.verb == "POST":
            body = b""
        try:
            answer = connections(where or self._api_url).urlopen(
                call.verb, target, body, headers, retries=False, redirect=False,
                timeout=self._timeout, preload_content=not call.most,
            )  # fmt: skip
            data = read_up_to(answer, call.most, cut=call.cut) if call.most else answer.data
        except HTTPError as failure:
            raise broken(failure, sends=call.sends, name="Microsoft") from failure
        return answer.status, answer.headers, data


def _read_mark(mark: str) -> tuple[str, bool]:
    """Where to ask, and whether what is there comes of a list; nowhere for no mark of ours."""
    try:
        target, relisted = json.loads(mark or "null") or ("", False)
    except (ValueError, TypeError):
        return "", True
    return str(target), bool(relisted)
