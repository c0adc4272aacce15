"""Send-from addresses: adding one in Gmail step by step, and watching for its tick."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import EmailField
from wtforms.validators import InputRequired

from portal import accounts, dispatch, mailboxes, queueing, tryouts
from portal.columns import now
from portal.envelope import NeedsPermission, NeedsSignIn, ProviderAnswer
from portal.extensions import db, limiter
from portal.mailboxes import Address, Mailbox
from portal.people import BadAddress, clean_address
from portal.tryouts import CannotTry
from portal.web.mailboxes import home_of, managed
from portal.web.page import page, see_other, wants_fragment
from portal.web.roads import config

pages = Blueprint("addresses", __name__)

#: So many looks, so many seconds apart; after the last the page rests until somebody asks.
PACE = ((20, 3), (60, 5), (240, 10))
#: Gmail's mail is there within seconds; after this long it is somewhere nobody looks.
PATIENCE = timedelta(minutes=2)


class AddressForm(FlaskForm):  # type: ignore[misc]
    """Which address is to be added."""

    email = EmailField("Address to send from", [InputRequired("Write the address.")])


@dataclass(frozen=True)
class Look:
    """How the watching goes: what the last look at Gmail's list brought, and when the next one is.

    seconds 0 means that the page has stopped looking by itself.
    """

    tries: int = 0
    seconds: int = PACE[0][1]
    overdue: bool = False
    problem: str = ""
    fresh: bool = False


@pages.get("/mailboxes/<int:mailbox_id>/addresses/new")
def new(mailbox_id: int) -> ResponseReturnValue:
    """Which address?"""
    wished = {"email": request.args.get("email", "")}
    return _new_page(managed(mailbox_id), AddressForm(formdata=None, data=wished))


@pages.post("/mailboxes/<int:mailbox_id>/addresses")
def create(mailbox_id: int) -> ResponseReturnValue:
    """Remember the address, so that the pages can watch for it."""
    box, form = managed(mailbox_id), AddressForm()
    if not form.validate():
        return _new_page(box, form, 422)
    try:
        email = clean_address(form.email.data or "").lower()
    except BadAddress as problem:
        form.email.errors = [str(problem)]
        return _new_page(box, form, 422)
    wanted = mailboxes.want_address(box, email)
    return see_other(url_for(".show", mailbox_id=box.id, address_id=wanted.id))


@pages.get("/mailboxes/<int:mailbox_id>/addresses/<int:address_id>")
def show(mailbox_id: int, address_id: int) -> ResponseReturnValue:
    """The walk-through of one address."""
    box = managed(mailbox_id)
    address = _address(box, address_id)
    if not box.kind.lists:
        return _tryout_page(box, address)
    return _page(box, address, _look(address))


@pages.post("/mailboxes/<int:mailbox_id>/addresses/<int:address_id>/tryouts")
@limiter.limit("60 per hour", key_func=lambda: f"tryouts:{current_user.id}")
def try_out(mailbox_id: int, address_id: int) -> ResponseReturnValue:
    """Send one message from it to the mailbox itself, and see under which address it left."""
    box = managed(mailbox_id)
    address = _address(box, address_id)
    try:
        tryouts.begin(address, current_user)
    except CannotTry as problem:
        flash(str(problem), "warn")
    return see_other(url_for(".show", mailbox_id=box.id, address_id=address.id))


@pages.post("/mailboxes/<int:mailbox_id>/address-checks")
def check(mailbox_id: int) -> ResponseReturnValue:
    """Look at Gmail's list now. Held mail whose address turns out verified goes out."""
    box = managed(mailbox_id)
    address_id = request.form.get("address", type=int)
    tries = min(max(request.form.get("tries", 0, type=int), 0), 10_000) + 1
    problem, fresh = _ask_google(box)
    if address_id is None or not wants_fragment():
        return _back(box, address_id, problem)
    address = _address(box, address_id)
    return _page(box, address, _look(address, tries, problem, address.email in fresh))


@pages.post("/mailboxes/<int:mailbox_id>/addresses/<int:address_id>/trust")
def trust(mailbox_id: int, address_id: int) -> ResponseReturnValue:
    """Somebody has found out why Gmail replaced an address, and lets it be used again."""
    box = managed(mailbox_id)
    address = _address(box, address_id)
    mailboxes.trust(address)
    problem, _ = _ask_google(box)
    if problem is None and address.verification == "accepted":
        flash(f"{address.email} is used again, as Gmail's list says.", "good")
    return _back(box, None, problem)


@pages.post("/mailboxes/<int:mailbox_id>/addresses/<int:address_id>/removal")
def remove(mailbox_id: int, address_id: int) -> ResponseReturnValue:
    """Take an address off the list that Gmail does not list (any more)."""
    box = managed(mailbox_id)
    address = _address(box, address_id)
    mailboxes.forget_address(address)
    flash(f"{address.email} is off the list.", "info")
    return see_other(home_of(box))


def gmail_settings_of(box: Mailbox) -> str:
    """Gmail's own page where addresses are added, for this very account."""
    return f"{config().GMAIL_WEB_URL}/mail/u/{quote(box.email, safe='@')}/#settings/accounts"


def _new_page(box: Mailbox, form: AddressForm, status: int = 200) -> ResponseReturnValue:
    return page("mailboxes/address_new.html", None, status, box=box, form=form, home=home_of(box))


def _tryout_page(box: Mailbox, address: Address) -> ResponseReturnValue:
    last = tryouts.latest(address)
    going = last is not None and tryouts.is_going(last)
    return page(
        "mailboxes/tryout.html",
        "walk",
        box=box,
        address=address,
        last=last,
        going=going,
        home=home_of(box),
    )


def _ask_google(box: Mailbox) -> tuple[ProviderAnswer | None, set[str]]:
    try:
        fresh = {one.email for one in mailboxes.refresh_addresses(box)}
    except ProviderAnswer as problem:
        db.session.commit()
        return problem, set()
    if fresh:
        dispatch.release_ready()
        queueing.ring()
    return None, fresh


def _look(
    address: Address,
    tries: int = 0,
    problem: ProviderAnswer | None = None,
    fresh: bool = False,
) -> Look:
    dead = isinstance(problem, NeedsSignIn | NeedsPermission)
    done = dead or address.verification == "accepted"
    seconds = next((pace for most, pace in PACE if tries < most), 0)
    overdue = now() - address.since > PATIENCE
    said = problem.message if problem else ""
    return Look(tries, 0 if done else seconds, overdue, said, fresh)


def _back(
    box: Mailbox, address_id: int | None, problem: ProviderAnswer | None
) -> ResponseReturnValue:
    if problem is not None:
        flash(problem.message, "warn")
    if address_id is not None:
        address = _address(box, address_id)
        return see_other(url_for(".show", mailbox_id=box.id, address_id=address.id))
    if problem is None:
        flash("Gmail's list was read just now.", "info")
    return see_other(home_of(box))


STEPS = """Adding {address} to {mailbox} in Gmail, on a computer:

1. Open {settings} (gear > See all settings > Accounts and Import; in Workspace: Accounts)
2. Under "Send mail as", choose "Add another email address". Name and address: {address}
3. Press "Next Step", then "Send Verification"
4. Open the mail from the Gmail Team that arrives at {address}
5. Click the link in it, or type its code into Gmail's window and press Verify
6. The tick appears here by itself: {back}
"""


def _steps(box: Mailbox, address: Address) -> str:
    """The walk-through as a mail to oneself."""
    back = config().PUBLIC_URL + url_for(".show", mailbox_id=box.id, address_id=address.id)
    return STEPS.format(
        address=address.email, mailbox=box.email, settings=gmail_settings_of(box), back=back
    )


def _page(box: Mailbox, address: Address, look: Look) -> ResponseReturnValue:
    if not box.can_list_addresses or not box.can_send or address.verification == "accepted":
        look = Look(look.tries, 0, look.overdue, look.problem, look.fresh)
    return page(
        "mailboxes/address.html",
        "walk",
        box=box,
        address=address,
        whose=accounts.with_email(address.email),
        look=look,
        home=home_of(box),
        steps_mail=_steps(box, address),
        gmail_settings=gmail_settings_of(box),
        same_domain=_domain(address.email) == (box.hosted_domain or _domain(box.email)),
        part=wants_fragment(),
    )


def _address(box: Mailbox, address_id: int) -> Address:
    found = db.session.get(Address, address_id)
    if found is None or found.mailbox_id != box.id:
        abort(404)
    return found


def _domain(email: str) -> str:
    return email.rpartition("@")[2].lower()
