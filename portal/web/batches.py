"""Pages of batches: filling a draft, the check before it goes, the one button, the result sheet."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import Select
from wtforms import HiddenField
from wtforms.validators import DataRequired

from portal import batches, bounces, history
from portal.batches import Batch, Filled, NotNow
from portal.columns import now
from portal.dispatch import waiting
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.web import filling, preflight, returning, stamp
from portal.web.fields import Line, stripped
from portal.web.guard import managers_only, whom_to_ask
from portal.web.meanwhile import Difference
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("batches", __name__)

#: So many items are checked by one request: a second or so.
CHUNK = 500
#: What only passing time changes is told anew after so many seconds.
TOLD_ANEW = 10
#: So many batches stand on one page of the list.
SHOWN = 30


class NameForm(FlaskForm):  # type: ignore[misc]
    """What a batch is called; `was` is what it was called when the form was opened."""

    name = Line("Name", [DataRequired("Write a name.")], most=120)
    was = HiddenField()


@pages.app_template_filter()
def grouped(number: int) -> str:
    """1,240 rather than 1240."""
    return f"{number:,}"


# -- the list ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """One batch in the list, with what it comes to in one line."""

    batch: Batch
    total: int
    line: str


@pages.get("/batches")
def index() -> ResponseReturnValue:
    """Drafts, then what was sent, newest first."""
    before = request.args.get("before", type=int)
    found = batches.listed(before, SHOWN + 1)
    shown = [_shown(one) for one in found[:SHOWN]]
    return page(
        "batches/index.html",
        None,
        drafts=[one for one in shown if one.batch.is_draft],
        sent=[one for one in shown if not one.batch.is_draft],
        older=found[SHOWN - 1].batch.id if len(found) > SHOWN else None,
        before=before,
    )


def _shown(one: batches.Listed) -> Shown:
    if one.batch.is_draft:
        line = preflight.in_words(preflight.DRAFT, one.states)
    else:
        line = preflight.in_words(preflight.SENT, batches.results(one.batch).counts)
    return Shown(one.batch, one.total, line or "Nothing in it yet")


# -- filling -------------------------------------------------------------------------------------


@pages.get("/batches/new")
def new() -> ResponseReturnValue:
    """A name, and which documents."""
    kind = filling.kind_or_404(request.args.get("kind", "invoice"))
    typed = stripped(request.args.get("name"))
    form = NameForm(None, name=typed or filling.usual_name(kind, filling.chosen()))
    return filling.choose_page(kind, form)


@pages.post("/batches")
def create() -> ResponseReturnValue:
    """Start a draft with what the filter finds."""
    kind = filling.kind_or_404(request.form.get("kind", "invoice"))
    form = NameForm()
    if not form.validate():
        return filling.choose_page(kind, form, status=422)
    ids = filling.wanted(kind)
    return _fill(batches.make(form.name.data, current_user, kind.slug), ids)


@pages.get("/batches/<int:batch_id>/filling")
def more(batch_id: int) -> ResponseReturnValue:
    """Which documents to add to a draft."""
    batch = _batch(batch_id)
    if not batch.is_draft:
        return see_other(url_for("batches.show", batch_id=batch.id))
    return filling.choose_page(KINDS[batch.kind], NameForm(None, name=batch.name), batch)


@pages.post("/batches/<int:batch_id>/filling")
def fill(batch_id: int) -> ResponseReturnValue:
    """Add what the filter finds."""
    batch = _batch(batch_id)
    return _fill(batch, filling.wanted(KINDS[batch.kind]))


@pages.post("/batches/filling")
def add() -> ResponseReturnValue:
    """Put chosen documents into a draft, or into a new one; from a list of documents.

    The form brings `ids` or the list's filter, and where they go: `batch`, the id of a draft, or
    `name`, of a new one. Without either, a page asks for it.
    """
    kind = filling.kind_or_404(request.form.get("kind", "invoice"))
    where = request.form.get("batch", "")
    if where.isdecimal() and len(where) < 10:
        return fill(int(where))
    if where != "new" and "name" not in request.form:
        return filling.where_page(kind, NameForm(None, name=filling.usual_name(kind)))
    form = NameForm()
    if not form.validate():
        return filling.where_page(kind, form, status=422)
    ids = filling.wanted(kind)  # first: who asks for too much leaves no empty draft behind
    return _fill(batches.make(form.name.data, current_user, kind.slug), ids)


def _fill(batch: Batch, ids: Select[Any]) -> ResponseReturnValue:
    """Put in what the form names, say what came of it, and open the draft."""
    where = url_for("batches.show", batch_id=batch.id)
    try:
        filled = batches.fill(batch, ids, current_user)
    except NotNow as problem:
        flash(str(problem), "warn")
        return see_other(where)
    flash(_what_was_added(batch, filled), "good" if filled.added else "warn")
    return see_other(where)


def _what_was_added(batch: Batch, filled: Filled) -> str:
    kind = KINDS[batch.kind]
    what = kind.noun if filled.added == 1 else kind.plural.lower()
    told = [f"{filled.added:,} {what} added." if filled.added else f"No {what} added."]
    if filled.elsewhere:
        told.append(f"{_were(filled.elsewhere)} in another draft, and stayed there.")
    if filled.sent_already:
        told.append(f"{_were(filled.sent_already)} sent already, or on the way, and left out.")
    return " ".join(told)


def _were(count: int) -> str:
    return f"{count:,} {'was' if count == 1 else 'were'}"


# -- one batch -----------------------------------------------------------------------------------


@pages.get("/batches/<int:batch_id>")
def show(batch_id: int) -> ResponseReturnValue:
    """A draft with its check, or what became of it."""
    batch = _batch(batch_id)
    if not batch.is_draft:
        return _sent_page(batch)
    returning.remember(url_for(".show", batch_id=batch.id), batch.name)
    return _draft_page(batch)


def _draft_page(batch: Batch) -> ResponseReturnValue:
    group, after, words = _asked()
    summary = batches.summary(batch)
    return page(
        "batches/draft.html",
        "region",
        batch=batch,
        kind=KINDS[batch.kind],
        summary=summary,
        tiles=preflight.draft_tiles(batch, summary, group),
        lacks=preflight.lacks(batch, summary),
        resting=[] if summary.unchecked else preflight.rests_before(summary),
        outlook=batches.Outlook() if summary.unchecked else batches.outlook(batch),
        words=words,
        stretch=None if summary.unchecked else preflight.stretch(batch, group, after, words),
        chunk=CHUNK,
        managers=whom_to_ask(),
        changes=history.of("batch", batch.id),
        stale=_is_stale(batch),
    )


#: Whose changes change no answer of a check, or are looked for by other means.
NO_ANSWERS = ("batch", "company", "mailbox", "document")


def _is_stale(batch: Batch) -> bool:
    """Whether a contact, a property, a rule or the like was changed since the check."""
    last = history.last_change(*NO_ANSWERS)
    return bool(last and batch.checked_at and last > batch.checked_at)


def _sent_page(batch: Batch) -> ResponseReturnValue:
    group, after, words = _asked()
    seen = stamp.of(waiting.standing(), batch.version, int(now().timestamp() // TOLD_ANEW))
    if stamp.is_known(seen):
        return stamp.NOTHING_NEW
    results, progress = batches.results(batch), batches.progress(batch)
    kind = KINDS[batch.kind]
    return page(
        "batches/sent.html",
        "region",
        batch=batch,
        kind=kind,
        results=results,
        replied=bounces.replied_in_batch(batch.id),
        progress=progress,
        rests=(rests := preflight.rests(progress)),
        outcome=preflight.outcome(kind, results, progress, rests),
        tiles=preflight.sent_tiles(batch, results, group),
        words=words,
        stretch=preflight.stretch(batch, group, after, words),
        every=_every(batch, progress),
        lacks=preflight.lacks(batch, batches.summary(batch)) if progress.finished else [],
        outlook=progress.outlook,
        changes=history.of("batch", batch.id),
        look=url_for(
            ".show",
            batch_id=batch.id,
            group=group or None,
            after=after or None,
            q=words or None,
            seen=seen,
        ),
    )


def _asked() -> tuple[str, int, str]:
    """The group, the item before this page, and the words searched for."""
    after = request.args.get("after", 0, type=int)
    return request.args.get("group", ""), after, request.args.get("q", "").strip()


def _every(batch: Batch, progress: batches.Progress) -> str:
    """How often the page looks again: eagerly at first, and not at all once nothing can change."""
    if progress.finished:
        return "15s" if progress.held else ""
    age = (now() - (batch.completed_at or now())).total_seconds()
    if age > 900:
        return "10s"
    return "2s" if age < 60 else "5s"


@pages.post("/batches/<int:batch_id>/check")
def check(batch_id: int) -> ResponseReturnValue:
    """Check the next stretch; or all of it anew, with `again`."""
    batch = _batch(batch_id)
    try:
        if "again" in request.form:
            batches.check_again(batch)
        elif not batches.check(batch, current_user, CHUNK).finished and wants_fragment():
            return _draft_page(batch)
    except NotNow as problem:
        flash(str(problem), "warn")
    return see_other(url_for("batches.show", batch_id=batch_id))


@pages.get("/batches/<int:batch_id>/edit")
def edit(batch_id: int) -> ResponseReturnValue:
    """Its name, and the way to discard it."""
    batch = _batch(batch_id)
    return _edit_page(batch, NameForm(None, name=batch.name, was=batch.name))


@pages.post("/batches/<int:batch_id>")
def rename(batch_id: int) -> ResponseReturnValue:
    """Call it something else."""
    batch = _batch(batch_id)
    form = NameForm()
    if not form.validate():
        return _edit_page(batch, form, 422)
    if form.was.data != batch.name != form.name.data:
        changed = [Difference("Name", batch.name, form.name.data or "")]
        form.was.data = batch.name
        return _edit_page(batch, form, 409, changed)
    batches.rename(batch, form.name.data or "", current_user)
    flash(f"It is called “{batch.name}” now.", "good")
    return see_other(url_for("batches.show", batch_id=batch.id))


def _edit_page(
    batch: Batch, form: NameForm, status: int = 200, changed: list[Difference] | None = None
) -> ResponseReturnValue:
    kind = KINDS[batch.kind]
    progress = None if batch.is_draft else batches.progress(batch)
    return page(
        "batches/edit.html",
        None,
        status,
        batch=batch,
        kind=kind,
        form=form,
        changed=changed or [],
        left=progress.pending + progress.moving + progress.held if progress else 0,
    )


@pages.post("/batches/<int:batch_id>/discarding")
def discard(batch_id: int) -> ResponseReturnValue:
    """Throw the draft away; its documents stay."""
    batch = _batch(batch_id)
    name = batch.name
    try:
        batches.discard(batch, current_user)
    except NotNow as problem:
        flash(str(problem), "warn")
        return see_other(url_for("batches.show", batch_id=batch_id))
    returning.forget()
    flash(f"“{name}” is discarded. Its documents are untouched.", "good")
    return see_other(url_for("batches.index"))


@pages.post("/batches/<int:batch_id>/removal")
def remove(batch_id: int) -> ResponseReturnValue:
    """Take the ticked ones out."""
    batch = _batch(batch_id)
    ids = filling.ticked("item")
    try:
        count = batches.remove(batch, ids, current_user)
    except NotNow as problem:
        flash(str(problem), "warn")
    else:
        gone = f"{count:,} taken out of this batch." if count else "Tick what to take out first."
        flash(gone, "good" if count else "warn")
    return see_other(url_for("batches.show", batch_id=batch.id))


# -- the deed ------------------------------------------------------------------------------------


@pages.get("/batches/<int:batch_id>/completion")
@managers_only
def completion(batch_id: int) -> ResponseReturnValue:
    """The last look: how many, from whom, and until when."""
    batch = _batch(batch_id)
    summary = batches.summary(batch) if batch.is_draft else None
    if summary is None or summary.unchecked or not summary.sendable:
        return see_other(url_for("batches.show", batch_id=batch.id))
    return page(
        "batches/completion.html",
        None,
        batch=batch,
        kind=KINDS[batch.kind],
        summary=summary,
        tiles=preflight.draft_tiles(batch, summary, ""),
        outlook=batches.outlook(batch),
    )


@pages.post("/batches/<int:batch_id>/completion")
@managers_only
def complete(batch_id: int) -> ResponseReturnValue:
    """Send it."""
    batch = _batch(batch_id)
    version = request.form.get("version", "")
    try:
        batches.complete(
            batch, current_user, int(version) if version.isdecimal() and len(version) < 10 else 0
        )
    except NotNow as problem:
        db.session.rollback()
        flash(str(problem), "warn")
    else:
        returning.forget()
    return see_other(url_for("batches.show", batch_id=batch_id))


# -- after ---------------------------------------------------------------------------------------


@pages.get("/batches/<int:batch_id>/results.csv")
def table(batch_id: int) -> ResponseReturnValue:
    """The result sheet for a spreadsheet."""
    batch = _batch(batch_id)
    sheet = io.StringIO()
    csv.writer(sheet).writerows(batches.table(batch))
    # Without the mark, Excel takes the letters for another alphabet's.
    answer = Response(f"\ufeff{sheet.getvalue()}", mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{batch.name}.csv")
    return answer


@pages.post("/batches/<int:batch_id>/stopping")
@managers_only
def stop(batch_id: int) -> ResponseReturnValue:
    """Take back what has not left."""
    batch = _batch(batch_id)
    count = batches.stop(batch, current_user)
    if count:
        flash(f"Stopped: {count:,} were not sent. They can go into another batch.", "good")
    else:
        flash("Nothing was left to stop.", "info")
    return see_other(url_for("batches.show", batch_id=batch.id))


@pages.post("/batches/<int:batch_id>/retry")
def retry(batch_id: int) -> ResponseReturnValue:
    """A new draft of what did not get through."""
    batch = _batch(batch_id)
    try:
        again = batches.retry(batch, current_user)
    except NotNow as problem:
        flash(str(problem), "warn")
        return see_other(url_for("batches.show", batch_id=batch.id))
    flash("Only what did not get through is in this draft. Put it right, then send it.", "good")
    return see_other(url_for("batches.show", batch_id=again.id))


def _batch(batch_id: int) -> Batch:
    return db.session.get(Batch, batch_id) or abort(404)
