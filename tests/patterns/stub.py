"""A Flask app with nothing behind it: the real templates and static files, and made-up facts."""

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask, flash, render_template, request
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFProtect
from jinja2 import ChoiceLoader, FileSystemLoader
from jinja2_fragments.flask import render_block
from wtforms import BooleanField, DecimalField, Form, SelectField, StringField, TextAreaField
from wtforms.fields import EmailField, FieldList, FileField, FormField, HiddenField, PasswordField
from wtforms.validators import DataRequired, Email

from portal.config import ROOT
from portal.documents.kinds import KINDS
from portal.envelope import Mailable
from portal.senders import Choice, Mode, Trouble

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
ENDPOINTS = {
    "home.index": "/",
    "documents.index": "/documents/<kind>",
    "batches.index": "/batches",
    "outbox.index": "/outbox",
    "contacts.index": "/contacts",
    "properties.index": "/properties",
    "settings.show": "/settings",
    "profile.show": "/me",
    "session.new": "/sign-in",
    "session.create": "/sign-in/new",
    "session.destroy": "/sign-out",
    "preferences.theme": "/theme",
    "static_pages.logo": "/logo",
}
PEOPLE_PAGES = ("/patterns", "/login", "/errors/404", "/errors/500", "/drafts")
ERRORS = (400, 401, 403, 404, 413, 429, 500, 503)

OLIVE = SimpleNamespace(
    name="Olive Park", email="olive@brightspark.example", is_manager=True, is_authenticated=True
)
COMPANY = SimpleNamespace(name="Bright Spark Plumbing", has_logo=False)
ATTENTION = [
    SimpleNamespace(
        level="bad",
        text="Gmail wants office@brightspark.example to sign in again. 7 messages wait.",
        href="/settings",
        action="Sign in again",
    )
]
REASON = "Company rule: Invoices come from accounts@brightspark.example."
READY = Choice(
    sender=Mailable("accounts@brightspark.example", "Bright Spark Plumbing"),
    mailbox_id=1,
    mailbox_email="office@brightspark.example",
    mode=Mode.SPECIFIED,
    reason=REASON,
)
NOT_READY = Choice(
    sender=Mailable("nia@brightspark.example", "Nia Cole at Bright Spark Plumbing"),
    mailbox_id=None,
    mailbox_email="",
    mode=Mode.USER,
    reason="Company rule: every document comes from whoever presses Send. That is Nia Cole.",
    trouble=Trouble.NOT_LINKED,
    problem="No connected mailbox may send as nia@brightspark.example yet.",
)
NOBODY = Choice(
    sender=None,
    mailbox_id=None,
    mailbox_email="",
    mode=Mode.DEFAULT,
    reason="Company rule: every document comes from the company mailbox.",
    trouble=Trouble.NO_MAILBOX,
    problem="No company mailbox is connected yet.",
)


class Line(Form):
    description = TextAreaField("Description", [DataRequired("Say what this line is for.")])
    quantity = DecimalField("Quantity")
    unit_price = DecimalField("Unit price")
    tax_rate = DecimalField("Tax %")


class Sample(FlaskForm):
    email = EmailField(
        "E-mail", [DataRequired(), Email("Write a whole address: name@company.com.")]
    )
    name = StringField("Name on the mail", description="Customers see this beside the address.")
    amount = DecimalField("Deposit")
    branch = SelectField("Branch", choices=["Sydney", "Newcastle"])
    message = TextAreaField("Message")
    copy_me = BooleanField("Send me a copy")
    logo = FileField("Logo")
    lines = FieldList(FormField(Line), min_entries=2)


class SignIn(FlaskForm):
    next = HiddenField()
    email = EmailField("E-mail", [DataRequired("Write your e-mail address.")])
    password = PasswordField("Password", [DataRequired("Write your password.")])
    shared = BooleanField("This is a shared tablet")
    device = StringField("Its name")


def make_app() -> Flask:
    app = Flask(__name__, static_folder=ROOT / "static")
    here = Path(__file__).parent / "templates"
    app.jinja_loader = ChoiceLoader([FileSystemLoader(ROOT / "templates"), FileSystemLoader(here)])
    app.config.update(SECRET_KEY="only ever a pattern page", TESTING=True)
    CSRFProtect(app)
    for endpoint, path in ENDPOINTS.items():
        app.add_url_rule(path, endpoint, lambda **_: "", methods=["GET", "POST"])
    app.jinja_env.filters["clock"] = str
    app.jinja_env.globals["ui"] = app.jinja_env.get_template("macros.html").module
    app.context_processor(_facts)
    app.after_request(_headers)
    app.add_url_rule("/patterns", "patterns", _patterns)
    app.add_url_rule(
        "/company.css",
        "static_pages.company_css",
        lambda: (":root{}", {"Content-Type": "text/css"}),
    )
    app.add_url_rule("/drafts", "drafts", _drafts, methods=["GET", "POST"])
    app.add_url_rule("/ticks", "ticks", lambda: _drafts("ticks"))
    app.add_url_rule("/login", "login", _login)
    app.add_url_rule(
        "/errors/<int:code>",
        "error",
        lambda code: render_template(f"errors/{code}.html", number="3f9a01bc"),
    )
    return app


def _facts() -> dict[str, Any]:
    signed_in = not request.path.startswith("/login")
    return {
        "current_user": OLIVE if signed_in else SimpleNamespace(is_authenticated=False),
        "company": COMPANY if signed_in else None,
        "attention": ATTENTION if request.path == "/patterns" else [],
        "KINDS": KINDS,
        "theme": request.args.get("theme", "auto"),
    }


def _headers(response: Any) -> Any:
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _patterns() -> str:
    flash("The logo was saved.", "good")
    form = Sample(
        meta={"csrf": False},
        email="mary.lee@homes",
        name="Bright Spark Plumbing",
        amount=Decimal("150.00"),
        message="Hello Mary,\n\nthank you for having us. Your invoice is attached.",
        lines=[
            {"description": "Replace kitchen tap", "quantity": 1, "unit_price": Decimal("890.00")},
            {"description": "", "quantity": 2, "unit_price": Decimal("118.64")},
        ],
    )
    form.validate()
    return render_template(
        "patterns.html", form=form, ready=READY, not_ready=NOT_READY, nobody=NOBODY
    )


def _drafts(block: str = "") -> str:
    context = {"form": Sample(formdata=None, meta={"csrf": False})}
    if block:
        return render_block("drafts.html", block, **context)
    return render_template("drafts.html", **context)


def _login() -> str:
    people = [
        SimpleNamespace(
            role="Office manager", email="olive@brightspark.example", password="demo-demo"
        ),
        SimpleNamespace(role="Tradesperson", email="tom@brightspark.example", password="demo-demo"),
    ]
    return render_template("login.html", form=SignIn(meta={"csrf": False}), demo_sign_ins=people)
