"""Pages: what the local mail server accepted, for people to open."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message as MimeMessage

from flask import Blueprint, Response, abort, render_template

from portal.sandbox import letters, mime
from portal.sandbox.mime import Head
from portal.sandbox.post.desk import Accepted
from portal.sandbox.post.office import current

blueprint = Blueprint("pages", __name__)
MOST = 200


@blueprint.get("/")
def home() -> str:
    office = current()
    found = office.desk.accepted
    newest = [(one, _head(one)) for one in reversed(found[-MOST:])]
    older = max(0, len(found) - MOST)
    return render_template(
        "accepted.html",
        messages=newest,
        older=older,
        where=office.where,
        password=office.desk.everybodys,
    )


@blueprint.get("/message/<int:id>")
def message(id: int) -> str:
    found = _message(id)
    head = _head(found)
    about = [
        ("Logged in as", found.user or "nobody"),
        ("Envelope from", found.sender),
        ("Envelope to", ", ".join(found.recipients)),
        ("Message-ID", head.raw("Message-ID") or ""),
        *(pair for pair in head.pairs() if pair[0].lower().startswith("x-")),
    ]
    return render_template(
        "message.html",
        account={"email": None},
        message=found,
        message_id=found.number,
        head=head,
        technical=about,
        **letters.parts_to_show(_parsed(found)),
    )


@blueprint.get("/message/<int:id>/html")
def message_html(id: int) -> Response:
    return letters.page_of(_parsed(_message(id)))


@blueprint.get("/message/<int:id>/original")
def original(id: int) -> Response:
    return Response(_message(id).raw, content_type="text/plain; charset=utf-8")


@blueprint.get("/message/<int:id>/attachment/<part>")
def attachment(id: int, part: str) -> Response:
    return letters.attachment(_parsed(_message(id)), part)


def _message(number: int) -> Accepted:
    found = next((one for one in current().desk.accepted if one.number == number), None)
    return found if found is not None else abort(404)


def _head(one: Accepted) -> Head:
    return Head.parse(mime.split(one.raw)[0])


def _parsed(one: Accepted) -> MimeMessage:
    return message_from_bytes(one.raw)
