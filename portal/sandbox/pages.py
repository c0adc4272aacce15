"""Mail pages: what people see of their mailboxes at the local Google."""

from __future__ import annotations

from datetime import datetime
from email import message_from_bytes
from email.message import Message as MimeMessage
from email.utils import getaddresses

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from flask import url_for as address_of
from markupsafe import Markup
from markupsafe import escape as escaped

from portal.sandbox import accounts, addresses, mailbox, mime
from portal.sandbox.accounts import Account
from portal.sandbox.google import current
from portal.sandbox.mailbox import Message

blueprint = Blueprint("pages", __name__)
PAGE_LENGTH = 50
NEWEST = 2**62
FOLDERS = {"inbox": "INBOX", "sent": "SENT", "drafts": "DRAFT"}
ENCLOSED = {"message/rfc822": "enclosed message", "message/delivery-status": "delivery report"}
HTML_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@blueprint.get("/")
def home() -> str:
    store = current().store
    people = accounts.every(store)
    unread = {one.id: len(_page_of(one, ["INBOX", "UNREAD"], NEWEST, 100)) for one in people}
    usable = {one.id: len(addresses.of(store, one.id)) for one in people}
    return render_template("accounts.html", people=people, unread=unread, addresses=usable)


@blueprint.get("/mail/")
def front() -> Response:
    """`/mail/?authuser=` and `/mail/u/0/` are how links from elsewhere name an account."""
    account = accounts.by_hint(current().store, request.args.get("authuser", ""))
    target = address_of("pages.inbox", email=account.email) if account else "/"
    return make_response(redirect(target))


@blueprint.get("/mail/u/<int:number>/")
def numbered(number: int) -> Response:
    people = accounts.every(current().store)
    if number >= len(people):
        abort(404)
    return make_response(redirect(address_of("pages.inbox", email=people[number].email)))


@blueprint.get("/mail/u/<email>/")
def inbox(email: str) -> str:
    return _folder(email, "inbox")


@blueprint.get("/mail/u/<email>/sent")
def sent(email: str) -> str:
    return _folder(email, "sent")


@blueprint.get("/mail/u/<email>/drafts")
def drafts(email: str) -> str:
    return _folder(email, "drafts")


@blueprint.get("/mail/u/<email>/message/<id>")
def message(email: str, id: str) -> str:
    account, found = _message(email, id)
    mail = _parsed(found)
    text = mime.first_text(mail, "plain")
    return render_template(
        "message.html",
        account=account,
        message=found,
        folder="sent" if "SENT" in found.labels else "inbox",
        head=found.head,
        text=linked(text) if text is not None else None,
        has_html=mime.first_text(mail, "html") is not None,
        attachments=_attachments(mail),
        technical=[pair for pair in found.head.pairs() if pair[0].lower().startswith("x-")],
    )


@blueprint.get("/mail/u/<email>/message/<id>/html")
def message_html(email: str, id: str) -> Response:
    html = mime.first_text(_parsed(_message(email, id)[1]), "html")
    if html is None:
        abort(404)
    answer = make_response(html)
    answer.headers["Content-Security-Policy"] = HTML_POLICY
    return answer


@blueprint.get("/mail/u/<email>/message/<id>/original")
def original(email: str, id: str) -> Response:
    raw = mailbox.raw(current().store, _message(email, id)[1])
    return Response(raw, content_type="text/plain; charset=utf-8")


@blueprint.get("/mail/u/<email>/message/<id>/attachment/<part>")
def attachment(email: str, id: str, part: str) -> Response:
    piece = dict(mime.walk(_parsed(_message(email, id)[1]))).get(part.strip("-"))
    if piece is None:
        abort(404)
    answer = Response(mime.content(piece), content_type=piece.get_content_type())
    name = mime.decoded(piece.get_filename() or "attachment")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def account_or_404(email: str) -> Account:
    account = accounts.by_email(current().store, email)
    if account is None:
        abort(404)
    return account


def linked(text: str) -> Markup:
    """Plain text as HTML, its web addresses turned into links."""
    words: list[str] = []
    for line in text.splitlines():
        for word in line.split(" "):
            safe = escaped(word)
            is_link = word.startswith(("http://", "https://"))
            words.append(f'<a href="{safe}" rel="noopener">{safe}</a>' if is_link else str(safe))
            words.append(" ")
        words[-1] = "\n"
    return Markup("".join(words))


@blueprint.app_template_filter("when")
def when(moment: float) -> str:
    local = datetime.fromtimestamp(moment).astimezone()
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


@blueprint.app_template_filter("person")
def person(header: str) -> str:
    """The name in a From or To line, or else its address."""
    names = [name or email for name, email in getaddresses([header])]
    return ", ".join(names) or "(nobody)"


@blueprint.app_template_filter("size")
def size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{max(count // 1000, 1)} kB"


def _folder(email: str, folder: str) -> str:
    account = account_or_404(email)
    before = request.args.get("before", NEWEST, type=int)
    messages = _page_of(account, [FOLDERS[folder]], before, PAGE_LENGTH + 1)
    return render_template(
        "folder.html",
        account=account,
        folder=folder,
        messages=[(one, one.head, _snippet(one)) for one in messages[:PAGE_LENGTH]],
        older=messages[PAGE_LENGTH - 1].seq if len(messages) > PAGE_LENGTH else None,
    )


def _page_of(account: Account, labels: list[str], before: int, limit: int) -> list[Message]:
    return mailbox.page(current().store, account.id, labels, before=before, limit=limit)


def _snippet(found: Message) -> Markup:
    return Markup(mime.snippet(found.head_bytes, mailbox.body(current().store, found)))


def _message(email: str, id: str) -> tuple[Account, Message]:
    account = account_or_404(email)
    found = mailbox.find(current().store, account.id, id)
    if found is None:
        abort(404)
    return account, found


def _parsed(found: Message) -> MimeMessage:
    return message_from_bytes(mailbox.raw(current().store, found))


def _attachments(mail: MimeMessage) -> list[tuple[str, str, int]]:
    listed = []
    for part_id, piece in mime.walk(mail):
        kind = piece.get_content_type()
        name = mime.decoded(piece.get_filename() or "") or ENCLOSED.get(kind)
        if name:
            listed.append((part_id, name, len(mime.content(piece))))
    return listed
