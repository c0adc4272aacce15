"""Users: who of the company may sign in, what they may decide, and how their own mailbox is."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, abort, flash, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, RadioField

from portal import (
    accounts,
    consent,
    devices,
    dispatch,
    history,
    invitations,
    links,
    mailboxes,
    places,
    policy,
    queueing,
)
from portal.accounts import CannotChange, CannotMake, Role, User
from portal.devices import Device
from portal.extensions import db, limiter
from portal.links import Link, Purpose
from portal.mailboxes import Health, Mailbox
from portal.people import Contact
from portal.senders import Choice, Consent, Mode
from portal.web.guard import managers_only
from portal.web.page import page, see_other
from portal.web.roads import config

pages = Blueprint("users", __name__)

ROLES = {Role.MANAGER: "Manager", Role.STAFF: "Staff"}
ROLES_EXPLAINED = {
    Role.STAFF: "Writes and sends documents, and connects their own mailbox.",
    Role.MANAGER: "The same, and decides for the whole company: everything in Administration.",
}


class UserForm(FlaskForm):  # type: ignore[misc]
    """What somebody may decide. was: the role the page showed."""

    was = HiddenField()
    role = RadioField("Role", choices=ROLES, default=Role.STAFF)
    sure = BooleanField("I know that I lose access to Administration with this")


#: The links a manager may see and pass on; who held the one that asks could answer.
HANDED_OVER = (Purpose.PASSWORD, Purpose.MAILBOX)


@dataclass(frozen=True)
class Row:
    """One person of the list: whether mail can leave from their address, and their own mailbox."""

    user: User
    choice: Choice | None
    own: Mailbox | None
    invited: Link | None
    said: Consent | None
    asked: Link | None


@pages.get("/people")
@managers_only
def index() -> ResponseReturnValue:
    """Everybody who can sign in, and the shared tablets."""
    rows = _rows()
    return page(
        "users/index.html",
        rows=[one for one in rows if one.user.active],
        former=[one.user for one in rows if not one.user.active],
        roles=ROLES,
        tablets=devices.trusted(),
    )


@pages.get("/people/<int:user_id>")
@managers_only
def show(user_id: int) -> ResponseReturnValue:
    """One person: their role, their links, their mailbox."""
    user = _user(user_id)
    return _page(user, UserForm(None, role=user.role, was=user.role))


@pages.post("/people/<int:user_id>")
@managers_only
def update(user_id: int) -> ResponseReturnValue:
    """Let them decide more, or less."""
    user, form = _user(user_id), UserForm()
    if not form.validate() or not _understood(user, form):
        return _page(user, form, 422)
    try:
        accounts.change_role(user, Role(form.role.data))
    except CannotChange as problem:
        form.role.errors = [str(problem)]
        return _page(user, form, 422)
    _note(user, f"Role: {ROLES[Role(user.role)]}.")
    flash(f"{user.name} is saved.", "good")
    return see_other(_after(user))


@pages.post("/people/<int:user_id>/end")
@managers_only
def end(user_id: int) -> ResponseReturnValue:
    """Let them sign in no more."""
    user = _user(user_id)
    if user.id == current_user.id:
        flash("You cannot end yourself. Another manager can.", "warn")
        return see_other(url_for(".show", user_id=user.id))
    return _done(user, links.dismiss, "May sign in no more.", "may sign in no more")


@pages.post("/people/<int:user_id>/return")
@managers_only
def let_back(user_id: int) -> ResponseReturnValue:
    """Let them sign in again, with the password they had or by a new link."""
    return _done(_user(user_id), accounts.let_back, "May sign in again.", "may sign in again")


@pages.post("/people/<int:user_id>/contact")
@managers_only
def take_over(user_id: int) -> ResponseReturnValue:
    """Take over the name and the address from their contact."""
    user = _user(user_id)
    contact = _contact_of(user) or abort(404)
    changed = f"Now {contact.person or contact.name}, {contact.email}."
    return _done(user, lambda one: links.take_over(one, contact), changed, "is updated")


@pages.post("/people/<int:user_id>/links/<purpose>")
@managers_only
@limiter.limit("60 per hour", key_func=lambda: f"links:{current_user.get_id()}")
def invite(user_id: int, purpose: str) -> ResponseReturnValue:
    """Make a link for them, and mail it where that can be."""
    user = _user(user_id)
    if purpose not in HANDED_OVER:
        abort(404)
    if not user.active:
        flash(f"{user.name} may not sign in. Let them back first.", "warn")
        return see_other(url_for(".show", user_id=user.id))
    return _invited(user, Purpose(purpose))


@pages.get("/contacts/<int:contact_id>/user")
@managers_only
def new(contact_id: int) -> ResponseReturnValue:
    """Let an employee sign in; who can already is shown."""
    contact = _contact(contact_id)
    user = accounts.user_of(contact)
    if user is not None:
        return see_other(url_for(".show", user_id=user.id))
    return _new_page(contact, UserForm(formdata=None))


@pages.post("/contacts/<int:contact_id>/user")
@managers_only
def create(contact_id: int) -> ResponseReturnValue:
    """Make the user, and the link by which they choose their password."""
    contact, form = _contact(contact_id), UserForm()
    if not form.validate():
        return _new_page(contact, form, 422)
    try:
        user = accounts.user_from_contact(contact, Role(form.role.data))
    except CannotMake as problem:
        return _new_page(contact, form, 422, str(problem))
    _note(user, f"Can sign in as {user.email}. Role: {ROLES[Role(user.role)]}.")
    return _invited(user, Purpose.PASSWORD, new=True)


@pages.post("/people/tablets/<int:device_id>/end")
@managers_only
def end_tablet(device_id: int) -> ResponseReturnValue:
    """Trust a shared tablet no longer."""
    device = db.session.get(Device, device_id) or abort(404)
    devices.end(device)
    flash(
        f"“{device.name}” is no longer trusted. Whoever was signed in on it is signed out.", "good"
    )
    return see_other(url_for(".index") + "#tablets-title")


def _rows() -> list[Row]:
    own: dict[int, Mailbox] = {}
    for box in mailboxes.all_mailboxes():
        if box.owner_id and (box.owner_id not in own or not box.is_elsewhere):
            own[box.owner_id] = box
    ready = {one.user.id: one.choice for one in policy.readiness(policy.EVERY_KIND, Mode.USER)}
    invited, asked = links.waiting_for(Purpose.PASSWORD), links.waiting_for(Purpose.CONSENT)
    return [
        Row(
            one,
            ready.get(one.id),
            own.get(one.id),
            invited.get(one.id),
            consent.of(one),
            asked.get(one.id),
        )
        for one in accounts.everybody()
    ]


def _page(user: User, form: UserForm, status: int = 200) -> ResponseReturnValue:
    box = mailboxes.mailbox_of(user)
    ready = policy.readiness(policy.EVERY_KIND, Mode.USER)
    contact = _contact_of(user)
    return page(
        "users/show.html",
        None,
        status,
        user=user,
        form=form,
        roles=ROLES,
        explained=ROLES_EXPLAINED,
        box=box,
        broken=box is not None and box.health != Health.CONNECTED,
        choice=next((one.choice for one in ready if one.user.id == user.id), None),
        boxes=mailboxes.company_mailboxes(),
        contact=contact,
        differs=contact is not None and _differs(user, contact),
        password_link=links.waiting(user, Purpose.PASSWORD),
        mailbox_link=links.waiting(user, Purpose.MAILBOX),
        said=consent.of(user),
        consent_link=links.waiting(user, Purpose.CONSENT),
        waiting=dispatch.asked_by(user),
        managed=places.managed_by(user),
        changes=history.of("user", user.id),
    )


def _new_page(
    contact: Contact, form: UserForm, status: int = 200, problem: str = ""
) -> ResponseReturnValue:
    return page(
        "users/new.html",
        None,
        status,
        contact=contact,
        form=form,
        explained=ROLES_EXPLAINED,
        problem=problem or accounts.why_no_user(contact),
        mailable=bool(invitations.sender()),
    )


def _invited(user: User, purpose: Purpose, *, new: bool = False) -> ResponseReturnValue:
    """The page that shows a link, this once."""
    where = {Purpose.PASSWORD: "links.password", Purpose.MAILBOX: "links.mailbox"}[purpose]
    address = config().PUBLIC_URL + url_for(where, key="KEY").replace("KEY", "{key}")
    made = invitations.invite(user, purpose, current_user._get_current_object(), address)
    what = {Purpose.PASSWORD: "set a password", Purpose.MAILBOX: "connect their mailbox"}[purpose]
    by = "mailed to them" if made.mail else "shown, to be handed over"
    _note(user, f"A link to {what} was {by}.")
    late = made.mail is not None and queueing.health() != "ok"
    return page("users/link.html", made=made, new=new, late=late)


def _understood(user: User, form: UserForm) -> bool:
    """Whoever gives up Administration says that they know it; and nobody overwrites unseen."""
    losing = user.id == current_user.id and form.role.data != Role.MANAGER and user.is_manager
    if losing and not form.sure.data:
        form.sure.errors = ["This is yourself. Tick that you know it."]
        return False
    if form.was.data and form.was.data != user.role:
        now = "a manager" if user.is_manager else "staff"
        form.role.errors = [f"Meanwhile somebody made {user.name} {now}. Save again to keep yours."]
        form.was.data = user.role
        return False
    return True


def _done(user: User, deed: Callable[[User], None], noted: str, said: str) -> ResponseReturnValue:
    """Do one thing to a person, or say why it cannot be done."""
    try:
        deed(user)
    except CannotChange as problem:
        flash(str(problem), "warn")
    else:
        _note(user, noted)
        flash(f"{user.name} {said}.", "good")
    return see_other(url_for(".show", user_id=user.id))


def _after(user: User) -> str:
    """Who has just given up Administration may not look at this page any more."""
    if user.id == current_user.id and not user.is_manager:
        return url_for("home.index")
    return url_for(".show", user_id=user.id)


def _differs(user: User, contact: Contact) -> bool:
    names = (contact.person or contact.name, contact.email.lower())
    return bool(contact.email) and names != (user.name, user.email)


def _note(user: User, text: str) -> None:
    history.note("user", user.id, text, current_user.name)
    db.session.commit()


def _contact_of(user: User) -> Contact | None:
    return db.session.get(Contact, user.contact_id) if user.contact_id else None


def _user(user_id: int) -> User:
    return db.session.get(User, user_id) or abort(404)


def _contact(contact_id: int) -> Contact:
    return db.session.get(Contact, contact_id) or abort(404)
