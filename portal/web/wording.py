"""Wording: the subject and message that carry each kind of document, tried on a real one."""

from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import Field, StringField, TextAreaField

from portal import documents
from portal.documents import mail, wording
from portal.documents.facts import DocumentFacts
from portal.documents.kinds import KINDS
from portal.documents.mail import Words
from portal.documents.wording import PLACEHOLDERS, WordingProblem
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("wording", __name__)


class WordingForm(FlaskForm):  # type: ignore[misc]
    """The words of one kind."""

    subject = StringField("Subject")
    body = TextAreaField("Message")

    @property
    def words(self) -> Words:
        body = (self.body.data or "").replace("\r\n", "\n")
        return Words((self.subject.data or "").strip(), body.strip())


@dataclass(frozen=True)
class Preview:
    """How the words come out for a real document; problem says why they do not."""

    number: str
    subject: str = ""
    body: str = ""
    problem: str = ""


@pages.get("/settings/wording")
@pages.get("/settings/wording/<kind>")
@managers_only
def edit(kind: str = "invoice") -> ResponseReturnValue:
    """The words in force; with ?shipped the ones Sendwright came with, to be looked at or saved."""
    _known(kind)
    shown = mail.shipped(kind) if "shipped" in request.args else mail.templates(kind)
    form = WordingForm(formdata=None, subject=shown.subject, body=shown.body)
    return _page(kind, form)


@pages.post("/settings/wording/<kind>")
@managers_only
def update(kind: str) -> ResponseReturnValue:
    """Store the words, unless some document could not be mailed with them."""
    _known(kind)
    form = WordingForm()
    _judge(form.subject, kind)
    _judge(form.body, kind)
    if form.subject.errors or form.body.errors:
        return _page(kind, form, 422)
    mail.keep_templates(kind, form.words)
    flash(f"The wording of {KINDS[kind].plural.lower()} is saved.", "good")
    return see_other(url_for(".edit", kind=kind))


@pages.post("/settings/wording/<kind>/previews")
@managers_only
def preview(kind: str) -> ResponseReturnValue:
    """What the words on the form come to. Stores nothing."""
    _known(kind)
    form = WordingForm()
    return _page(kind, form)


def _known(kind: str) -> None:
    if kind not in KINDS:
        abort(404)


def _judge(field: Field, kind: str) -> None:
    """Tried on a document as on a paper: a mistake is told before a customer could see it."""
    facts = _facts(kind)
    typed = (field.data or "").strip()
    try:
        if not typed:
            raise WordingProblem(f"Write a {field.label.text.lower()}.")
        wording.check(typed)
        if field.name == "subject" and facts:
            wording.render_subject(typed, facts, current_user.name)
        elif field.name == "subject" and "\n" in typed:
            raise WordingProblem("The subject must be a single line.")
    except WordingProblem as problem:
        field.errors = [str(problem)]


def _page(kind: str, form: WordingForm, status: int = 200) -> ResponseReturnValue:
    return page(
        "settings/wording.html",
        "preview",
        status,
        kind=KINDS[kind],
        form=form,
        placeholders=PLACEHOLDERS,
        preview=_preview(kind, form.words),
        as_shipped=form.words == mail.shipped(kind),
        unsaved="shipped" in request.args and form.words != mail.templates(kind),
    )


def _preview(kind: str, words: Words) -> Preview | None:
    facts = _facts(kind)
    if facts is None:
        return None
    try:
        subject = wording.render_subject(words.subject, facts, current_user.name)
        body = wording.render(words.body, facts, current_user.name)
    except WordingProblem as problem:
        return Preview(facts.number, problem=str(problem))
    return Preview(facts.number, subject, body)


def _facts(kind: str) -> DocumentFacts | None:
    """The newest document of the kind: a real one shows what made-up ones hide."""
    newest = documents.listed(kind, size=1).documents
    return newest[0].facts() if newest else None
