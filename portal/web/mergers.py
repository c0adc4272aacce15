"""Pages of mergers: two contacts that are one person or business become one record."""

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy.orm.exc import StaleDataError

from portal.contacts import JOINED, KNOWN, differing, merge, why_not_merged
from portal.extensions import db
from portal.people import CONTACT_TYPES, Contact, ContactType, find_contacts
from portal.places import Refused, uses_of
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("mergers", __name__)

SHOWN = 20
CHANGED = "Somebody changed one of the two just now. Look at both again, then merge."


@pages.get("/contacts/<int:contact_id>/merger")
@managers_only
def new(contact_id: int) -> ResponseReturnValue:
    """Choose the other record; once it is chosen, both side by side."""
    kept = _contact(contact_id)
    if kept.merged_into_id:
        return see_other(url_for("contacts.show", contact_id=kept.id))
    other = _number(request.args.get("other"))
    if other:
        return _side_by_side(kept, _contact(other))
    words = request.args.get("q", "").strip()
    found = find_contacts(words or kept.name, active=None, limit=SHOWN)
    some = [one for one in found if one.id != kept.id and not one.merged_into_id]
    return page("contacts/merger.html", "found", contact=kept, words=words, found=some)


@pages.post("/contacts/<int:contact_id>/merger")
@managers_only
def create(contact_id: int) -> ResponseReturnValue:
    """Make the two one, with the values that were chosen."""
    kept, gone = _contact(contact_id), _contact(_number(request.form.get("other")))
    taken = [name for name in KNOWN if request.form.get(name) == "other"]
    if request.form.get("versions") != _versions(kept, gone):
        return _side_by_side(kept, gone, CHANGED, 409)
    name = gone.name
    try:
        merge(kept, gone, taken, current_user)
    except Refused as refused:
        return _side_by_side(kept, gone, str(refused), 409)
    except StaleDataError:
        db.session.rollback()
        return _side_by_side(kept, gone, CHANGED, 409)
    flash(f"{name} is now part of {kept.name}, with documents, properties and history.", "good")
    return see_other(url_for("contacts.show", contact_id=kept.id))


def _side_by_side(
    kept: Contact, gone: Contact, problem: str = "", status: int = 200
) -> ResponseReturnValue:
    return page(
        "contacts/merger_values.html",
        None,
        status,
        kept=kept,
        gone=gone,
        problem=problem,
        stopped=why_not_merged(kept, gone),
        differing=differing(kept, gone),
        rows=[(name, label, _shown(kept, name), _shown(gone, name)) for name, label in _rows()],
        joined=JOINED,
        taken={name for name in KNOWN if request.form.get(name) == "other"},
        uses=uses_of(gone),
        versions=_versions(kept, gone),
    )


def _rows() -> list[tuple[str, str]]:
    return list(KNOWN.items())


def _shown(contact: Contact, name: str) -> str:
    value: str = getattr(contact, name)
    return CONTACT_TYPES[ContactType(value)] if name == "type" else value


def _versions(kept: Contact, gone: Contact) -> str:
    """What the page showed, so that nobody merges what they have not seen."""
    return f"{kept.version}.{gone.version}"


def _number(typed: str | None) -> int:
    return int(typed) if typed and typed.isdecimal() and len(typed) < 10 else 0


def _contact(contact_id: int) -> Contact:
    return db.session.get(Contact, contact_id) or abort(404)
