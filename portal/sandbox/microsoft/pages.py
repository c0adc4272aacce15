"""Mail pages: what people see of their mailboxes at the local Microsoft."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message as MimeMessage

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from flask import url_for as address_of
from markupsafe import Markup

from portal.sandbox import letters, mime
from portal.sandbox.microsoft import directory, items, posting
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.items import Item
from portal.sandbox.microsoft.microsoft import current

blueprint = Blueprint("pages", __name__)
PAGE_LENGTH = 50
FOLDERS = {"inbox": "inbox", "sent": "sentitems", "drafts": "drafts", "deleted": "deleteditems"}


@blueprint.before_request
def let_leave() -> None:
    posting.let_leave(current())


@blueprint.get("/")
def home() -> str:
    store = current().store
    people = [one for one in directory.every(store) if one.mailbox]
    return render_template(
        "mailboxes.html",
        tenants=[
            (tenant, [one for one in people if one.tenant_id == tenant.id])
            for tenant in directory.tenants(store)
        ],
        unread={one.id: items.count(store, one.id, "inbox", unread=True) for one in people},
        aliases={one.id: directory.aliases(store, one) for one in people},
        rights={one.id: directory.rights(store, one) for one in people if one.shared},
        without=[one for one in directory.every(store) if not one.mailbox],
    )


@blueprint.get("/mail/")
@blueprint.get("/owa/")
def front() -> Response:
    """`?login_hint=` is how a link from elsewhere names an account, `?ItemID=` a message."""
    item = items.by_any_id(current().store, request.args.get("ItemID", ""))
    if item is not None:
        owner = directory.by_id(current().store, item.account_id)
        where = address_of("pages.message", email=owner.email, id=item.immutable_id)
        return make_response(redirect(where))
    account = directory.by_name(current().store, request.args.get("login_hint", ""))
    return make_response(
        redirect(address_of("pages.inbox", email=account.email) if account else "/")
    )


@blueprint.get("/mail/<email>/")
def inbox(email: str) -> str:
    return _folder(email, "inbox")


@blueprint.get("/mail/<email>/sentitems")
def sent(email: str) -> str:
    return _folder(email, "sent")


@blueprint.get("/mail/<email>/drafts")
def drafts(email: str) -> str:
    return _folder(email, "drafts")


@blueprint.get("/mail/<email>/deleteditems")
def deleted(email: str) -> str:
    return _folder(email, "deleted")


@blueprint.get("/mail/<email>/id/<id>")
def message(email: str, id: str) -> str:
    account, item = _item(email, id)
    head = item.head
    about = [
        ("Message-ID", item.internet_id),
        ("Id", item.rest_id),
        ("Immutable id", item.immutable_id),
        ("Folder", items.FOLDERS[item.folder]),
        *(pair for pair in head.pairs() if pair[0].lower().startswith("x-")),
    ]
    places = {place: folder for folder, place in FOLDERS.items()}
    return render_template(
        "message.html",
        account=account,
        message=item,
        message_id=item.immutable_id,
        folder=places.get(item.folder, "drafts"),
        head=head,
        technical=about,
        **letters.parts_to_show(_parsed(item)),
    )


@blueprint.get("/mail/<email>/id/<id>/html")
def message_html(email: str, id: str) -> Response:
    return letters.page_of(_parsed(_item(email, id)[1]))


@blueprint.get("/mail/<email>/id/<id>/original")
def original(email: str, id: str) -> Response:
    raw = items.raw(current().store, _item(email, id)[1])
    return Response(raw, content_type="text/plain; charset=utf-8")


@blueprint.get("/mail/<email>/id/<id>/attachment/<part>")
def attachment(email: str, id: str, part: str) -> Response:
    return letters.attachment(_parsed(_item(email, id)[1]), part)


def _folder(email: str, folder: str) -> str:
    account = _account(email)
    skip = request.args.get("before", 0, type=int)
    found = items.page(
        current().store, account.id, FOLDERS[folder], skip=skip, limit=PAGE_LENGTH + 1
    )
    return render_template(
        "folder.html",
        account=account,
        folder=folder,
        messages=[_row(item) for item in found[:PAGE_LENGTH]],
        older=skip + PAGE_LENGTH if len(found) > PAGE_LENGTH else None,
    )


def _row(item: Item) -> tuple[dict[str, object], mime.Head, Markup]:
    shown: dict[str, object] = {
        "id": item.immutable_id,
        "labels": () if item.read else ("UNREAD",),
        "at": item.at,
    }
    return shown, item.head, Markup("{}").format(item.preview)


def _account(email: str) -> Account:
    account = directory.by_name(current().store, email)
    if account is None or not account.mailbox:
        abort(404)
    return account


def _item(email: str, id: str) -> tuple[Account, Item]:
    account = _account(email)
    item = items.by_immutable_id(current().store, id)
    if item is None or item.account_id != account.id:
        abort(404)
    return account, item


def _parsed(item: Item) -> MimeMessage:
    return message_from_bytes(items.raw(current().store, item))
