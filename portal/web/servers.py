"""Servers: connecting a mailbox at any mail server with its password, and giving it a new one.

An address is asked for first; what is known of its provider fills in the rest. Nothing is stored
before a log-in has really worked.
"""

from typing import Any

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired

from portal import dispatch, hosts, mailboxes, presets, queueing
from portal.accounts import User
from portal.extensions import db, limiter
from portal.mailboxes import CannotConnect, Mailbox
from portal.people import BadAddress, clean_address, company
from portal.presets import Preset, Suggestion
from portal.providers.obstacles import Problem
from portal.providers.signing import Account
from portal.providers.submission import Security, Server, Unusable
from portal.published import asking, receiving
from portal.web.fields import AddressField, Line
from portal.web.journey import Purpose
from portal.web.mailboxes import home_of, managed
from portal.web.page import page, see_other
from portal.web.roads import config

pages = Blueprint("servers", __name__)

#: Seconds to find out who receives a domain's mail, while somebody waits for the page.
PATIENCE = 2.0
WAYS = (
    SelectChoice("tls", "Encrypted from the start (usual with port 465)"),
    SelectChoice("starttls", "Encrypted after STARTTLS (usual with port 587)"),
    SelectChoice("clear", "Not encrypted (only where whoever runs this portal allowed it)"),
)
#: Where mail is read with TLS from the first byte, and after STARTTLS.
IMAP_PORT, STARTTLS_PORT = 993, 143
#: Beside which field each problem stands; the others stand beside the server's name.
FIELDS = {
    Problem.WRONG_PASSWORD: "password",
    Problem.APP_PASSWORD: "password",
    Problem.PASSWORDS_OFF: "password",
    Problem.SENDER: "email",
    Problem.NO_TLS: "security",
    Problem.TLS_BROKEN: "security",
    Problem.CLOSED: "port",
    Problem.SILENT: "port",
    Problem.NOT_MAIL: "port",
    Problem.NO_AUTH: "port",
}


class AddressForm(FlaskForm):  # type: ignore[misc]
    """Whose mailbox it is."""

    email = AddressField("E-mail address", required="Write the address of the mailbox.")


class ServerForm(FlaskForm):  # type: ignore[misc]
    """Where its mail is handed in, and how one logs in there."""

    email = AddressField("E-mail address", required="Write the address of the mailbox.")
    user = Line("User name", [InputRequired("Write the user name, usually the whole address.")])
    password = PasswordField("Password", [InputRequired("Write the password.")])
    host = Line("Server", [InputRequired("Write the name of the server for outgoing mail.")])
    port = Line("Port", [InputRequired("Write the port, usually 465 or 587.")])
    security = RadioField("Encryption", choices=WAYS, default="tls")
    inbox = Line("Server for incoming mail")
    inbox_port = Line("Its port")

    def validate(self, **more: Any) -> bool:
        """Every field by itself, and what only together can be wrong."""
        good = bool(super().validate(**more))
        if self.host.data and not hosts.is_name(self.host.data):
            self.host.errors = ["Write the server’s name alone, like smtp.example.com."]
        if self.port.data and not _is_port(self.port.data):
            self.port.errors = ["Write the port as a number, usually 465 or 587."]
        if self.inbox.data and not hosts.is_name(self.inbox.data):
            self.inbox.errors = ["Write the server’s name alone, like imap.example.com."]
        if self.inbox_port.data and not _is_port(self.inbox_port.data):
            self.inbox_port.errors = ["Write the port as a number, usually 993."]
        return good and not self.errors

    def server(self) -> Server:
        security = Security(self.security.data)
        return Server(hosts.plain(self.host.data), int(self.port.data), security, self.user.data)

    def read_at(self) -> Server | None:
        """Where what comes in is read; None where it is not wanted."""
        if not self.inbox.data:
            return None
        port = int(self.inbox_port.data or IMAP_PORT)
        security = Security.STARTTLS if port == STARTTLS_PORT else Security.TLS
        return Server(hosts.plain(self.inbox.data), port, security, self.user.data)


def _is_port(typed: str) -> bool:
    return typed.isascii() and typed.isdecimal() and 0 < int(typed[:6]) < 65536


@pages.get("/mailboxes/servers/new")
def new() -> ResponseReturnValue:
    """Which address; then what is known of its provider, and the password."""
    purpose = _purpose(request.args)
    typed = request.args.get("email", "")
    asked = AddressForm(formdata=None, data={"email": _cleaned(typed) or ""})
    if not typed:
        return _address_page(purpose, asked)
    if not _cleaned(typed):
        asked.email.raw_data, asked.email.errors = [typed], [_why_not(typed)]
        return _address_page(purpose, asked, 422)
    return _new_page(purpose, _filled_in(_cleaned(typed), request.args.get("service", "")))


@pages.post("/mailboxes/servers")
@limiter.limit("40 per hour", key_func=lambda: f"servers:{current_user.get_id()}")
def create() -> ResponseReturnValue:
    """Log in there, and keep the mailbox if that worked."""
    purpose, form = _purpose(request.form), ServerForm()
    owner = None if purpose == Purpose.COMPANY else _me()
    if not form.validate() or not _try(form):
        return _new_page(purpose, form, 422)
    try:
        box = _connect(form, owner)
    except CannotConnect as problem:
        form.email.errors = [str(problem)]
        return _new_page(purpose, form, 422)
    return _connected(box)


@pages.get("/mailboxes/<int:mailbox_id>/password")
def edit(mailbox_id: int) -> ResponseReturnValue:
    """A new password for a mailbox that has one, or another server."""
    box = _with_password(mailbox_id)
    known = {**box.server, "port": str(box.server["port"]), "email": box.email}
    if box.read_at is not None:
        known |= {"inbox": box.read_at.host, "inbox_port": str(box.read_at.port)}
    return _edit_page(box, ServerForm(formdata=None, data=known))


@pages.post("/mailboxes/<int:mailbox_id>/password")
@limiter.limit("40 per hour", key_func=lambda: f"servers:{current_user.get_id()}")
def update(mailbox_id: int) -> ResponseReturnValue:
    """Log in with it, and keep it if that worked: what waited for it leaves."""
    box, form = _with_password(mailbox_id), ServerForm()
    if not form.validate() or not _try(form, box.email):
        return _edit_page(box, form, 422)
    try:
        box = _connect(form, box.owner, box)
    except CannotConnect as problem:
        form.email.errors = [str(problem)]
        return _edit_page(box, form, 422)
    return _connected(box)


# -- deeds -----------------------------------------------------------------------------------------


def _try(form: ServerForm, email: str = "") -> bool:
    """Whether the log-in works; where not, the form says why and what to do."""
    server = form.server()
    db.session.commit()  # the server is asked with no transaction open
    try:
        mailboxes.try_server(server, form.password.data, email or form.email.data)
    except Unusable as problem:
        field = form[FIELDS.get(problem.problem, "host")]
        field.errors = [f"{problem.sentence(server)} {problem.next_step(server)}"]
        return False
    return _try_inbox(form)


def _try_inbox(form: ServerForm) -> bool:
    """The same where what comes in is read, if that is wanted."""
    server = form.read_at()
    if server is None:
        return True
    try:
        mailboxes.try_inbox(server, form.password.data)
    except Unusable as problem:
        form.inbox.errors = [f"{problem.sentence(server)} {problem.next_reading_step(server)}"]
        return False
    return True


def _connect(form: ServerForm, owner: User | None, expected: Mailbox | None = None) -> Mailbox:
    email = expected.email if expected else form.email.data.lower()
    name = company().name if owner is None else owner.name
    account = Account(email, email, name, "")
    box = mailboxes.connect_server(
        account, form.server(), form.password.data, owner=owner, expected=expected
    )
    mailboxes.let_read(box, form.read_at())
    return box


def _connected(box: Mailbox) -> ResponseReturnValue:
    """What a working mailbox makes possible happens at once: held mail leaves."""
    released = dispatch.release_ready()
    queueing.ring()
    flash(f"Connected: {box.email}. Next: open a document and send a test to yourself.", "good")
    if released:
        what = "message that was" if released == 1 else "messages that were"
        flash(f"{released} {what} on hold {'is' if released == 1 else 'are'} on the way.", "good")
    return see_other(home_of(box))


# -- pages -----------------------------------------------------------------------------------------


def _purpose(given: Any) -> str:
    """For the company or for oneself; only managers may for the company."""
    default = Purpose.COMPANY if current_user.is_manager else Purpose.OWN
    purpose = str(given.get("purpose", default))
    if purpose not in (Purpose.COMPANY, Purpose.OWN):
        abort(404)
    if purpose == Purpose.COMPANY and not current_user.is_manager:
        abort(403)
    return purpose


def _cleaned(typed: str) -> str:
    try:
        return clean_address(typed).lower()
    except BadAddress:
        return ""


def _why_not(typed: str) -> str:
    try:
        clean_address(typed)
    except BadAddress as problem:
        return str(problem)
    return ""


def _filled_in(email: str, service: str) -> ServerForm:
    found = _suggested(email, service)
    known = {"email": email, "user": found.user, "host": found.host}
    known |= {"inbox": found.inbox, "inbox_port": str(IMAP_PORT)}
    return ServerForm(
        formdata=None, data={**known, "port": str(found.port), "security": found.security}
    )


def _suggested(email: str, service: str = "") -> Suggestion:
    known = presets.suggest(email, chosen=service)
    return known if known.preset else presets.suggest(email, _receivers(email))


def _receivers(email: str) -> tuple[str, ...]:
    """Who receives the mail of an address's domain, if anybody may be asked."""
    if config().DNS_RESOLVER == "off":
        return ()
    ask = asking.Resolver(config().dns_servers)
    return receiving.servers_of(ask, email.rpartition("@")[2], PATIENCE)


def _preset(form: ServerForm) -> Preset | None:
    """Whose server the form names: its advice stands beside the password."""
    named = hosts.plain(form.host.data or "")
    return next((one for one in presets.PRESETS if one.host == named), None)


def _address_page(purpose: str, form: AddressForm, status: int = 200) -> ResponseReturnValue:
    return page(
        "servers/address.html", None, status, form=form, purpose=purpose, home=_home(purpose)
    )


def _new_page(purpose: str, form: ServerForm, status: int = 200) -> ResponseReturnValue:
    return page(
        "servers/new.html",
        None,
        status,
        form=form,
        purpose=purpose,
        home=_home(purpose),
        **_shown(form),
    )


def _edit_page(box: Mailbox, form: ServerForm, status: int = 200) -> ResponseReturnValue:
    return page(
        "servers/edit.html",
        None,
        status,
        form=form,
        box=box,
        home=home_of(box),
        waiting=dispatch.waiting_for(box.id),
        **_shown(form, known=True),
    )


def _shown(form: ServerForm, *, known: bool = False) -> dict[str, Any]:
    """known: whether these very settings have worked before."""
    clear = bool(config().SMTP_CLEAR_TEXT_HOSTS) or form.security.data == "clear"
    form.security.choices = [way for way in WAYS if clear or way.value != "clear"]
    wrong = {name for name in form.errors if name in ("host", "port", "security", "user")}
    preset = _preset(form)
    return {
        "preset": preset,
        "services": presets.SERVICES,
        "open_server": wrong or not (preset or known),
        "open_inbox": {"inbox", "inbox_port"} & form.errors.keys(),
    }


def _home(purpose: str) -> str:
    return url_for("settings.show" if purpose == Purpose.COMPANY else "profile.show")


def _with_password(mailbox_id: int) -> Mailbox:
    box = managed(mailbox_id)
    return box if box.provider == "smtp" else abort(404)


def _me() -> User:
    found: User = current_user._get_current_object()
    return found
