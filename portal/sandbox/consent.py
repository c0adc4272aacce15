"""Consent: the pages on which a person picks an account and says what an app may do."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from portal.sandbox import accounts, grants
from portal.sandbox.accounts import Account
from portal.sandbox.clients import may_return_to
from portal.sandbox.google import current
from portal.sandbox.grants import CodeRequest
from portal.sandbox.scopes import MAIL, asked, joined, of_mail

blueprint = Blueprint("consent", __name__)
PASSED_ON = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "access_type",
    "prompt",
    "login_hint",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "include_granted_scopes",
    "hd",
]


class Blocked(Exception):
    """A request so wrong that Google shows a page of its own instead of going back to the app."""

    def __init__(self, code: int, error: str, words: str) -> None:
        super().__init__(words)
        self.code, self.error, self.words = code, error, words


@dataclass(frozen=True)
class Ask:
    """What the app asks for, as it stands in the address of every page on the way."""

    values: dict[str, str]
    scopes: list[str]

    @classmethod
    def read(cls, source: MultiDict[str, str]) -> Ask:
        values = {name: source[name] for name in PASSED_ON if source.get(name)}
        _check_app(values)
        scopes, unknown = asked(values["scope"])
        if unknown or not scopes:
            words = f"Some requested scopes were invalid. {{invalid=[{', '.join(unknown)}]}}"
            raise Blocked(400, "invalid_scope", words)
        return cls(values, scopes)

    @property
    def prompts(self) -> list[str]:
        return self.values.get("prompt", "").split()

    @property
    def mail_scopes(self) -> list[str]:
        return of_mail(self.scopes)

    @property
    def may_untick(self) -> bool:
        return len(self.scopes) > 1

    def code_request(self) -> CodeRequest:
        return CodeRequest(
            client_id=self.values["client_id"],
            redirect_uri=self.values["redirect_uri"],
            nonce=self.values.get("nonce"),
            challenge=self.values.get("code_challenge"),
            challenge_method=self.values.get("code_challenge_method", "plain"),
            offline=self.values.get("access_type") == "offline",
            consent_forced="consent" in self.prompts,
        )

    def back(self, **answer: str) -> Response:
        """To the app again; its redirect address may carry a query already."""
        if self.values.get("state"):
            answer = {"state": self.values["state"], **answer}
        uri = self.values["redirect_uri"]
        joint = "&" if urlsplit(uri).query else "?"
        return _redirect(f"{uri}{joint}{urlencode(answer)}")


@blueprint.errorhandler(Blocked)
def blocked(refusal: Blocked) -> Response:
    return make_response(render_template("blocked.html", refusal=refusal), refusal.code)


@blueprint.get("/o/oauth2/v2/auth")
def authorize() -> Response:
    ask = Ask.read(request.args)
    hint = ask.values.get("login_hint", "")
    hinted = accounts.by_hint(current().store, hint) if hint else None
    if "none" in ask.prompts:
        return _without_pages(ask, hinted)
    if hinted is not None and "select_account" not in ask.prompts:
        return _ahead(ask, hinted)
    return _page("chooser.html", ask, people=_people(ask), hinted=hinted)


@blueprint.get("/o/oauth2/v2/auth/chosen")
def chosen() -> Response:
    ask = Ask.read(request.args)
    return _ahead(ask, _account(request.args))


@blueprint.get("/o/oauth2/v2/auth/consent")
def consent() -> Response:
    ask, account = Ask.read(request.args), _account(request.args)
    return _page("consent.html", ask, account=account, meanings=MAIL)


@blueprint.post("/o/oauth2/v2/auth/consent")
def decide() -> Response:
    ask, account = Ask.read(request.form), _account(request.form)
    if request.form.get("decision") != "allow":
        return ask.back(error="access_denied")
    ticked = set(request.form.getlist("granted")) if ask.may_untick else set(ask.mail_scopes)
    granted = {scope for scope in ask.scopes if scope not in MAIL or scope in ticked}
    return _grant(ask, account, granted)


def _ahead(ask: Ask, account: Account) -> Response:
    """The next page this account still has to see, if any."""
    allowed = grants.consented(current().store, account, ask.values["client_id"])
    if "consent" not in ask.prompts and allowed.issuperset(ask.scopes):
        return _grant(ask, account, set(ask.scopes))
    settings = current().settings
    if ask.mail_scopes and not (settings.verified_app or settings.internal_app):
        return _page("warning.html", ask, account=account)
    return _redirect(_address_of("consent.consent", {**ask.values, "account": account.email}))


def _grant(ask: Ask, account: Account, granted: set[str]) -> Response:
    google, code_request = current(), ask.code_request()
    if ask.values.get("include_granted_scopes") == "true":
        granted |= grants.consented(google.store, account, code_request.client_id)
    code = grants.issue_code(google, account, code_request, granted)
    extra = {"hd": account.domain} if account.workspace else {}
    prompt = "consent" if code_request.consent_forced else "none"
    return ask.back(code=code, scope=joined(granted), authuser="0", **extra, prompt=prompt)


def _without_pages(ask: Ask, account: Account | None) -> Response:
    if account is None:
        return ask.back(error="interaction_required")
    allowed = grants.consented(current().store, account, ask.values["client_id"])
    if not allowed.issuperset(ask.scopes):
        return ask.back(error="consent_required")
    return _grant(ask, account, set(ask.scopes))


def _people(ask: Ask) -> list[Account]:
    """`hd` only brings its domain's accounts to the top: it forbids nobody."""
    wanted = ask.values.get("hd", "").lower()
    return sorted(accounts.every(current().store), key=lambda one: one.domain != wanted)


def _account(source: MultiDict[str, str]) -> Account:
    account = accounts.by_email(current().store, source.get("account", ""))
    if account is None:
        raise Blocked(400, "invalid_request", "This account is not known here.")
    return account


def _check_app(values: dict[str, str]) -> None:
    for name in ("client_id", "redirect_uri", "response_type", "scope"):
        if name not in values:
            raise Blocked(400, "invalid_request", f"Missing required parameter: {name}")
    if values["client_id"] != current().settings.client_id:
        raise Blocked(401, "invalid_client", "The OAuth client was not found.")
    if not may_return_to(values["redirect_uri"], current().settings.redirect_uris):
        raise Blocked(400, "redirect_uri_mismatch", f"redirect_uri={values['redirect_uri']}")
    if values["response_type"] != "code":
        raise Blocked(400, "unsupported_response_type", "Only response_type=code works here.")
    if values.get("code_challenge_method", "plain") not in ("plain", "S256"):
        raise Blocked(400, "invalid_request", "Invalid code_challenge_method.")


def _page(template: str, ask: Ask, **values: object) -> Response:
    settings = current().settings
    again = {**ask.values, "prompt": " ".join({*ask.prompts, "select_account"} - {"none"})}
    html = render_template(
        template,
        ask=ask,
        app_name=settings.app_name,
        cancel_url=ask.back(error="access_denied").location,
        other_url=_address_of("consent.authorize", again),
        **values,
    )
    # Browsers hold the redirect after a form to the page's policy too.
    back = urlsplit(ask.values["redirect_uri"])
    g.form_target = f"{back.scheme}://{back.netloc}"
    return make_response(html)


def _address_of(endpoint: str, values: dict[str, str]) -> str:
    return f"{url_for(endpoint)}?{urlencode(values)}"


def _redirect(target: str) -> Response:
    answer = make_response(redirect(target))
    answer.headers["Cache-Control"] = "no-store"
    return answer
