"""Mail pages: what people see of their mailboxes at the local Google."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message as MimeMessage

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from flask import url_for as address_of
from markupsafe import Markup

from portal.sandbox import accounts, addresses, letters, mailbox, mime
from portal.sandbox.accounts import Account
from portal.sandbox.google import current
from portal.sandbox.mailbox import Message

blueprint = Blueprint("pages", __name__)
PAGE_LENGTH = 50
NEWEST = 2**62
FOLDERS = {"inbox": "INBOX", "sent": "SENT", "drafts": "DRAFT"}


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
    head = found.head
    about = [
        ("Message-ID", found.message_id),
        ("Id", found.id),
        ("Labels", ", ".join(found.labels)),
        *(pair for pair in head.pairs() if pair[0].lower().startswith("x-")),
    ]
    return render_template(
        "message.html",
        account=account,
        message=found,
        message_id=found.id,
        folder="sent" if "SENT" in found.labels else "inbox",
        head=head,
        technical=about,
        **letters.parts_to_show(_parsed(found)),
    )


@blueprint.get("/mail/u/<email>/message/<id>/html")
def message_html(email: str, id: str) -> Response:
    return letters.page_of(_parsed(_message(email, id)[1]))


@blueprint.get("/mail/u/<email>/message/<id>/original")
def original(email: str, id: str) -> Response:
    raw = mailbox.raw(current().store, _message(email, id)[1])
    return Response(raw, content_type="text/plain; charset=utf-8")


@blueprint.get("/mail/u/<email>/message/<id>/attachment/<part>")
def attachment(email: str, id: str, part: str) -> Response:
    return letters.attachment(_parsed(_message(email, id)[1]), part)


def account_or_404(email: str) -> Account:
    account = accounts.by_email(current().store, email)
    if account is None:
        abort(404)
    return account


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
