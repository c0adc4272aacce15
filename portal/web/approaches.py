"""Approaches: how invoices should be sent, in three ready ways, each set up from one page."""

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms.validators import DataRequired

from portal import approaches, mailboxes, policy, relay, standing
from portal.approaches import KIND, Approach, CannotSetUp, Department
from portal.people import Contact, company
from portal.web import modes
from portal.web.fields import AddressField, Line
from portal.web.guard import managers_only
from portal.web.page import page, see_other
from portal.web.roads import config

pages = Blueprint("approaches", __name__)


class DepartmentForm(FlaskForm):  # type: ignore[misc]
    """The generic sender."""

    name = Line("Name", [DataRequired("Write a name.")], most=80)
    email = AddressField("E-mail address", required="Write the address invoices should come from.")


@pages.get("/settings/approaches")
@managers_only
def index() -> ResponseReturnValue:
    """The three, with the one in use and how far it is."""
    return page(
        "settings/approaches.html",
        present=approaches.present(),
        choice=policy.choose_for(KIND, current_user),
        department=approaches.department(current_user),
        found=standing.managers_at(kind=KIND),
        elsewhere=policy.how_many_elsewhere(),
        relay_from=config().RELAY_FROM if relay.is_configured() else "",
        relayed=approaches.relayed(),
    )


@pages.get("/settings/approaches/accounting")
@managers_only
def accounting() -> ResponseReturnValue:
    """Approach 1: the form, and once it is filled in what is left to do."""
    made = approaches.department(current_user)
    usual = {"name": approaches.DEPARTMENT, "email": made.email if made else _usual_address()}
    if made and made.contact:
        usual["name"] = made.contact.name
    return _department_page(DepartmentForm(formdata=None, data=usual), made)


@pages.post("/settings/approaches/accounting")
@managers_only
def set_up() -> ResponseReturnValue:
    """Make the contact, the user, the sender and the rule, all of them or none."""
    form = DepartmentForm()
    if not form.validate():
        return _department_page(form, None, 422)
    email = form.email.data.lower()
    try:
        approaches.set_up_department(form.name.data, email, current_user)
    except CannotSetUp as problem:
        form.email.errors = [str(problem)]
        return _department_page(form, None, 422, problem.holder)
    flash(f"Invoices now come from {email}. Below is what is left to do.", "good")
    return see_other(url_for(".accounting"))


@pages.get("/settings/approaches/managers")
@managers_only
def managers() -> ResponseReturnValue:
    """Approach 2: who of the account managers is ready, and what to do about the others."""
    return page(
        "settings/approach_managers.html",
        found=standing.managers_at(kind=KIND),
        in_use=approaches.present() is Approach.MANAGERS,
        **modes.shown(),
    )


@pages.post("/settings/approaches/managers")
@managers_only
def let_managers_send() -> ResponseReturnValue:
    """Make it the rule; what is not ready yet waits."""
    approaches.let_managers_send(current_user)
    waiting = standing.managers_at(kind=KIND).waiting
    said = "Invoices now come from the account manager of each property."
    more = f" {waiting} properties are not ready yet: their invoices wait." if waiting else ""
    flash(said + more, "warn" if waiting else "good")
    return see_other(url_for(".managers"))


@pages.post("/settings/approaches/relay")
@managers_only
def let_relay_send() -> ResponseReturnValue:
    """Approach 3, against the advice: invoices leave through the portal's own relay."""
    if not relay.is_configured():
        flash("No relay is set up here.", "bad")
        return see_other(url_for(".index"))
    approaches.let_relay_send(current_user)
    flash("Invoices now leave through the portal’s own relay. Send a test to yourself.", "warn")
    return see_other(url_for(".index"))


@pages.post("/settings/approaches/relay/removal")
@managers_only
def do_without_relay() -> ResponseReturnValue:
    """Take back every rule that names the relay."""
    gone = approaches.do_without_relay(current_user)
    what = "rule that named it is" if gone == 1 else "rules that named it are"
    flash(f"Nothing leaves through the relay any more: the {what} gone.", "good")
    return see_other(url_for(".index"))


def _usual_address() -> str:
    """accounts@ at the domain of the company's mailbox or address; "" where that is not known."""
    box = next(iter(mailboxes.company_mailboxes()), None)
    domain = (box.email if box else company().email).rpartition("@")[2]
    return f"accounts@{domain}" if domain else ""


def _department_page(
    form: DepartmentForm,
    made: Department | None,
    status: int = 200,
    holder: Contact | None = None,
) -> ResponseReturnValue:
    return page(
        "settings/approach_accounting.html",
        None,
        status,
        form=form,
        made=made,
        holder=holder,
        again=bool(request.args.get("again")) or status != 200,
        able=approaches.first_mailbox(),
        boxes=mailboxes.company_mailboxes(),
    )
