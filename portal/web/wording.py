"""Wording: the subject, message and signature that carry each kind of document.

The company has its words for every kind, and a branch may have its own. Both are tried on a real
document while they are being written. Of invoices the page also says who they come from.
"""

from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import Field, StringField, TextAreaField

from portal import documents, history, policy
from portal.documents import mail, wording
from portal.documents.facts import DocumentFacts
from portal.documents.kinds import KINDS
from portal.documents.mail import Words
from portal.documents.wording import PLACEHOLDERS, WordingProblem
from portal.extensions import db
from portal.places import Branch, branches
from portal.web import meanwhile
from portal.web.fields import stripped
from portal.web.guard import managers_only
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("wording", __name__)

FIELDS = ("subject", "body", "signature")


class WordingForm(meanwhile.Versioned):
    """The words of one kind."""

    subject = StringField("Subject", filters=[stripped])
    body = TextAreaField("Message", filters=[stripped])
    signature = TextAreaField("Signature", filters=[stripped])

    @property
    def words(self) -> Words:
        return Words(self.subject.data or "", self.body.data or "", self.signature.data or "")


@dataclass(frozen=True)
class Standing:
    """The words in force, as a record that somebody else may change meanwhile."""

    id: int
    version: int
    subject: str
    body: str
    signature: str


@dataclass(frozen=True)
class Preview:
    """How the words come out for a real document; problem says why they do not."""

    number: str
    subject: str = ""
    body: str = ""
    problem: str = ""


@pages.get("/settings/invoicing")
@managers_only
def invoicing() -> ResponseReturnValue:
    """Who invoices come from, and their words, on one page."""
    return edit("invoice")


@pages.get("/settings/wording")
@pages.get("/settings/wording/<kind>")
@managers_only
def edit(kind: str = "quote") -> ResponseReturnValue:
    """The words in force; with ?shipped the ones Sendwright came with, to be looked at or saved."""
    branch = _branch(kind)
    shown = (_shipped_or_wider if "shipped" in request.args else _in_force)(kind, branch)
    form = WordingForm(
        formdata=None,
        subject=shown.subject,
        body=shown.body,
        signature=shown.signature,
        version=str(_standing(kind, branch).version),
    )
    return _page(kind, branch, form)


@pages.post("/settings/wording/<kind>")
@managers_only
def update(kind: str) -> ResponseReturnValue:
    """Store the words, unless some document could not be mailed with them."""
    branch = _branch(kind)
    form = WordingForm()
    for field in (form.subject, form.body, form.signature):
        _judge(field, kind, branch)
    if any(form[name].errors for name in FIELDS):
        return _page(kind, branch, form, 422)
    changed = meanwhile.since(form, _standing(kind, branch), FIELDS, _noun(branch))
    if changed:
        return _page(kind, branch, form, 422, changed)
    mail.keep_templates(kind, form.words, branch.id if branch else None)
    _note(kind, branch)
    flash(f"The wording of {_whose(kind, branch)} is saved.", "good")
    return see_other(address_of(kind, branch))


@pages.post("/settings/wording/<kind>/previews")
@managers_only
def preview(kind: str) -> ResponseReturnValue:
    """What the words on the form come to. Stores nothing."""
    return _page(kind, _branch(kind), WordingForm())


def address_of(kind: str, branch: Branch | None = None) -> str:
    """The page of a kind's words."""
    chosen = branch.id if branch else None
    if kind == "invoice":
        return url_for(".invoicing", branch=chosen)
    return url_for(".edit", kind=kind, branch=chosen)


def _branch(kind: str) -> Branch | None:
    """The branch whose words are asked for; None for the company's."""
    if kind not in KINDS:
        abort(404)
    asked = request.args.get("branch", type=int)
    if asked is None:
        return None
    return db.session.get(Branch, asked) or abort(404)


def _in_force(kind: str, branch: Branch | None) -> Words:
    return mail.templates(kind, branch.id if branch else None)


def _shipped_or_wider(kind: str, branch: Branch | None) -> Words:
    """What would hold without these words."""
    return mail.templates(kind) if branch else mail.shipped(kind)


def _standing(kind: str, branch: Branch | None) -> Standing:
    stored, words = mail.own(kind, branch.id if branch else None), _in_force(kind, branch)
    version = stored.version if stored else 0
    return Standing(_number(kind), version, words.subject, words.body, words.signature)


def _note(kind: str, branch: Branch | None) -> None:
    history.note(_noun(branch), _number(kind), "Wording changed.", current_user.name)
    db.session.commit()


def _noun(branch: Branch | None) -> str:
    return f"wording {branch.id}" if branch else "wording"


def _number(kind: str) -> int:
    return list(KINDS).index(kind)


def _whose(kind: str, branch: Branch | None) -> str:
    what = KINDS[kind].plural.lower()
    return f"{what} of {branch.name}" if branch else what


def _judge(field: Field, kind: str, branch: Branch | None) -> None:
    """Tried on a document as on a paper: a mistake is told before a customer could see it."""
    facts = _facts(kind, branch)
    typed = field.data or ""
    try:
        if not typed and field.name != "signature":
            raise WordingProblem(f"Write a {field.label.text.lower()}.")
        wording.check(typed)
        if field.name == "subject" and facts:
            wording.render_subject(typed, facts, current_user.name)
        elif field.name == "subject" and "\n" in typed:
            raise WordingProblem("The subject must be a single line.")
    except WordingProblem as problem:
        field.errors = [str(problem)]


def _page(
    kind: str,
    branch: Branch | None,
    form: WordingForm,
    status: int = 200,
    changed: meanwhile.Meanwhile | None = None,
) -> ResponseReturnValue:
    return page(
        "settings/wording.html",
        "preview",
        status,
        kind=KINDS[kind],
        branch=branch,
        branches=branches(),
        own=mail.branches_with_own(kind),
        form=form,
        changed=changed,
        placeholders=PLACEHOLDERS,
        preview=_preview(kind, branch, form.words),
        as_shipped=form.words == _shipped_or_wider(kind, branch),
        unsaved="shipped" in request.args and form.words != _in_force(kind, branch),
        address_of=address_of,
        **_from(kind),
    )


def _from(kind: str) -> dict[str, object]:
    """Who it comes from, for the page of invoices; what is typed meanwhile asks for none of it."""
    if kind != "invoice" or wants_fragment():
        return {}
    return {
        "choice": policy.choose_for(kind, current_user),
        "people": policy.readiness_now(kind),
    }


def _preview(kind: str, branch: Branch | None, words: Words) -> Preview | None:
    facts = _facts(kind, branch)
    if facts is None:
        return None
    try:
        come_to = mail.filled(facts, current_user.name, words)
    except WordingProblem as problem:
        return Preview(facts.number, problem=str(problem))
    return Preview(facts.number, come_to.subject, come_to.body)


def _facts(kind: str, branch: Branch | None) -> DocumentFacts | None:
    """The newest document of the kind and branch: a real one shows what made-up ones hide."""
    newest = documents.newest(kind, branch.id if branch else None)
    return newest.facts() if newest else None
