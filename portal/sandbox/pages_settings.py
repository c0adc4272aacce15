"""Settings pages: "Accounts and Import", where a person adds and verifies send-from addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from flask import url_for as address_of

from portal.sandbox import accounts, addresses, verification
from portal.sandbox.accounts import Account
from portal.sandbox.addresses import Address
from portal.sandbox.google import current
from portal.sandbox.mime import plausible
from portal.sandbox.pages import account_or_404

blueprint = Blueprint("settings", __name__, url_prefix="/mail")
BASE = "/u/<email>/settings/accounts"
ONE = f"{BASE}/<address>"
SECURITY = ("ssl", "starttls", "none")


@dataclass
class Form:
    """What was typed into "Add another email address", kept when something is wrong with it."""

    name: str = ""
    email: str = ""
    treat_as_alias: bool = True
    host: str = ""
    port: str = "465"
    username: str = ""
    security: str = "ssl"
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Form:
        told = request.form
        return cls(
            name=told.get("name", "").strip(),
            email=told.get("email", "").strip(),
            treat_as_alias=told.get("treat_as_alias") == "1",
            host=told.get("host", "").strip(),
            port=told.get("port", "465").strip(),
            username=told.get("username", "").strip(),
            security=told.get("security", "ssl"),
        )

    def check_address(self, account: Account) -> None:
        store = current().store
        if not plausible(self.email):
            self.problems["email"] = "Type one complete e-mail address, such as name@company.com."
        elif addresses.find(store, account.id, self.email):
            self.problems["email"] = f"{self.email} is already on your list."
        elif len(addresses.of(store, account.id)) > addresses.MOST:
            self.problems["email"] = f"You already have {addresses.MOST} addresses."

    def check_server(self) -> None:
        if not self.host:
            self.problems["host"] = "Type the name of the server that sends for this address."
        if not (self.port.isdecimal() and 0 < int(self.port) < 65_536):
            self.problems["port"] = "Type a port number between 1 and 65535."
        if self.security not in SECURITY:
            self.problems["security"] = "Choose how the connection is secured."

    @property
    def smtp(self) -> tuple[str, int, str] | None:
        return (self.host, int(self.port), self.security) if self.host else None


@blueprint.get(BASE)
def listed(email: str) -> str:
    account = account_or_404(email)
    mine = addresses.of(current().store, account.id)
    return render_template("settings.html", account=account, addresses=mine, folder="settings")


@blueprint.get(f"{BASE}/add")
def add(email: str) -> str:
    account = account_or_404(email)
    return _add_page(account, Form(name=account.name), "add.html")


@blueprint.post(f"{BASE}/add")
def add_next(email: str) -> Response | str:
    account, form = account_or_404(email), Form.read()
    form.check_address(account)
    if form.problems:
        return _add_page(account, form, "add.html")
    if _is_own_already(account, form.email):
        addresses.put(current().store, account.id, form.email, form.name, native=True)
        return _back(account)
    return _add_page(account, form, "add_send.html")


@blueprint.post(BASE)
def create(email: str) -> Response | str:
    account, form = account_or_404(email), Form.read()
    form.check_address(account)
    if form.problems:
        return _add_page(account, form, "add.html")
    if _needs_server(account, form.email):
        form.check_server()
    if form.problems:
        return _add_page(account, form, "add_send.html")
    store = current().store
    addresses.put(
        store,
        account.id,
        form.email,
        form.name,
        status="pending",
        treat_as_alias=form.treat_as_alias,
        smtp=form.smtp,
    )
    address = addresses.find(store, account.id, form.email)
    assert address is not None
    return _sent(account, address)


@blueprint.get(f"{ONE}/verify")
def verify(email: str, address: str) -> str | Response:
    account, found = _address(email, address)
    if found.status != "pending":
        return _back(account)
    reached = accounts.receiving(current().store, found.email)
    sent = request.args.get("sent") == "1"
    return render_template(
        "verify.html", account=account, address=found, reached=reached, sent=sent, problem=None
    )


@blueprint.post(f"{ONE}/verify")
def check_code(email: str, address: str) -> str | Response:
    account, found = _address(email, address)
    code = request.form.get("code", "")
    if found.status != "pending" or verification.confirm_by_code(current(), found, code):
        return _back(account)
    return render_template(
        "verify.html",
        account=account,
        address=found,
        reached=accounts.receiving(current().store, found.email),
        typed=code,
        problem="This is not the code in the newest mail. Check it, or send the mail again.",
    )


@blueprint.post(f"{ONE}/resend")
def resend(email: str, address: str) -> Response:
    account, found = _address(email, address)
    return _sent(account, found) if found.status == "pending" else _back(account)


@blueprint.post(f"{ONE}/default")
def make_default(email: str, address: str) -> Response:
    account, found = _address(email, address)
    if found.usable:
        addresses.make_default(current().store, found)
    return _back(account)


@blueprint.post(f"{ONE}/delete")
def delete(email: str, address: str) -> Response:
    account, found = _address(email, address)
    addresses.delete(current().store, found)
    return _back(account)


@blueprint.get("/confirm/<link>")
def confirm(link: str) -> tuple[str, int]:
    found = addresses.by_link(current().store, link)
    account = accounts.by_id(current().store, found.account_id) if found else None
    page = render_template("confirm.html", address=found, account=account, link=link, done=False)
    return page, 200 if found else 404


@blueprint.post("/confirm/<link>")
def confirmed(link: str) -> tuple[str, int]:
    found = addresses.by_link(current().store, link)
    if found is None:
        return confirm(link)
    addresses.confirm(current().store, found)
    account = accounts.by_id(current().store, found.account_id)
    return render_template(
        "confirm.html", address=found, account=account, link=link, done=True
    ), 200


def _is_own_already(account: Account, email: str) -> bool:
    """A Workspace's own alias of this very account needs no proof."""
    owner = accounts.receiving(current().store, email)
    return account.workspace and owner is not None and owner.id == account.id


def _needs_server(account: Account, email: str) -> bool:
    """Google relays only for its own domain; other addresses bring their own mail server."""
    return email.rpartition("@")[2].lower() != account.domain


def _add_page(account: Account, form: Form, template: str) -> str:
    return render_template(
        template, account=account, form=form, needs_server=_needs_server(account, form.email)
    )


def _sent(account: Account, address: Address) -> Response:
    verification.request_proof(current(), account, address, request.host_url.rstrip("/"))
    target = address_of("settings.verify", email=account.email, address=address.email, sent=1)
    return make_response(redirect(target, 303))


def _back(account: Account) -> Response:
    return make_response(redirect(address_of("settings.listed", email=account.email), 303))


def _address(email: str, wanted: str) -> tuple[Account, Address]:
    account = account_or_404(email)
    found = addresses.find(current().store, account.id, wanted)
    if found is None:
        abort(404)
    return account, found
