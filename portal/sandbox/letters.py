"""Letter: one mail as a page shows it to a person."""

from __future__ import annotations

from datetime import datetime
from email.message import Message as MimeMessage
from email.utils import getaddresses

from flask import Flask, Response, abort, make_response
from markupsafe import Markup
from markupsafe import escape as escaped

from portal.sandbox import mime

ENCLOSED = {"message/rfc822": "enclosed message", "message/delivery-status": "delivery report"}
HTML_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def add_filters(app: Flask) -> None:
    app.jinja_env.filters.update(when=when, person=person, size=size)


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


def when(moment: float) -> str:
    local = datetime.fromtimestamp(moment).astimezone()
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def person(header: str) -> str:
    """The name in a From or To line, or else its address."""
    names = [name or email for name, email in getaddresses([header])]
    return ", ".join(names) or "(nobody)"


def size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{max(count // 1000, 1)} kB"


def attachments(mail: MimeMessage) -> list[tuple[str, str, int]]:
    """Part id, name and size of each."""
    listed = []
    for part_id, piece in mime.walk(mail):
        kind = piece.get_content_type()
        name = mime.decoded(piece.get_filename() or "") or ENCLOSED.get(kind)
        if name:
            listed.append((part_id, name, len(mime.content(piece))))
    return listed


def attachment(mail: MimeMessage, part: str) -> Response:
    piece = dict(mime.walk(mail)).get(part.strip("-"))
    if piece is None:
        abort(404)
    answer = Response(mime.content(piece), content_type=piece.get_content_type())
    name = mime.decoded(piece.get_filename() or "attachment")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def page_of(mail: MimeMessage) -> Response:
    """The HTML of a letter, for a frame that lets it do nothing."""
    html = mime.first_text(mail, "html")
    if html is None:
        abort(404)
    answer = make_response(html)
    answer.headers["Content-Security-Policy"] = HTML_POLICY
    return answer


def parts_to_show(mail: MimeMessage) -> dict[str, object]:
    text = mime.first_text(mail, "plain")
    return {
        "text": linked(text) if text is not None else None,
        "has_html": mime.first_text(mail, "html") is not None,
        "attachments": attachments(mail),
    }
