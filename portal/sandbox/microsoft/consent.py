"""Consent: the pages on which a person signs in and accepts what an app asks for, or may not."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from portal.sandbox.clients import may_return_to
from portal.sandbox.microsoft import directory, endpoints, errors, grants
from portal.sandbox.microsoft.directory import CONSUMERS, Account
from portal.sandbox.microsoft.errors import StsError
from portal.sandbox.microsoft.grants import CodeRequest
from portal.sandbox.microsoft.microsoft import current
from portal.sandbox.microsoft.scopes import MEANINGS, ORDER, asked, of_graph

blueprint = Blueprint("consent", __name__)
PASSED_ON = [
    "tenant",
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "prompt",
    "login_hint",
    "domain_hint",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "for_all",
]
DECLINED = StsError("access_denied", 65004, "User declined to consent to access the app.")
NEEDS_ADMIN = StsError("access_denied", 90094, "The grant requires administrator permission.")


class Blocked(Exception):
    """A request so wrong that Microsoft shows a page of its own instead of going back."""

    def __init__(self, refusal: StsError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


@dataclass(frozen=True)
class Ask:
    """What the app asks for, as it stands in the address of every page on the way."""

    values: dict[str, str]
    scopes: list[str]

    @classmethod
    def read(cls, source: MultiDict[str, str], **more: str) -> Ask:
        told = {name: source[name] for name in PASSED_ON if source.get(name)} | more
        _check_app(told)
        host = request.host_url
        scopes, unknown = asked(told["scope"].replace(f"{host}.default", ""), host)
        if unknown or not scopes:
            words = f"The scope '{' '.join(unknown)}' is not known to this resource."
            raise Blocked(StsError("invalid_scope", 70011, words))
        return cls(told, sorted(scopes, key=ORDER.index))

    @property
    def prompts(self) -> list[str]:
        return self.values.get("prompt", "").split()

    @property
    def client_id(self) -> str:
        return self.values["client_id"]

    @property
    def for_all(self) -> bool:
        """Whether an administrator is asked to consent for the whole tenant."""
        return bool(self.values.get("for_all"))

    def code_request(self) -> CodeRequest:
        return CodeRequest(
            client_id=self.client_id,
            redirect_uri=self.values["redirect_uri"],
            nonce=self.values.get("nonce"),
            challenge=self.values.get("code_challenge"),
            challenge_method=self.values.get("code_challenge_method", "plain"),
        )

    def back(self, **answer: str) -> Response:
        """To the app again; its redirect address may carry a query already."""
        if self.values.get("state"):
            answer = {**answer, "state": self.values["state"]}
        uri = self.values["redirect_uri"]
        joint = "&" if urlsplit(uri).query else "?"
        return _redirect(f"{uri}{joint}{urlencode(answer)}")

    def refused(self, refusal: StsError) -> Response:
        body = refusal.body()
        told = {name: body[name] for name in ("error", "error_description", "error_uri")}
        if refusal is DECLINED:
            told["error_subcode"] = "cancel"
        return self.back(**told)

    def cancelled(self) -> Response:
        if self.for_all:
            words = "The admin canceled the request"
            return self.back(error="permission_denied", error_description=words)
        return self.refused(DECLINED)


@blueprint.errorhandler(Blocked)
def blocked(block: Blocked) -> Response:
    return make_response(render_template("blocked.html", refusal=block.refusal), 400)


@blueprint.get("/<tenant>/oauth2/v2.0/authorize")
def authorize(tenant: str) -> Response:
    ask = Ask.read(request.args, tenant=_tenant(tenant))
    hinted = directory.by_name(current().store, ask.values.get("login_hint", ""))
    if "none" in ask.prompts:
        return _without_pages(ask, hinted)
    if hinted is not None and not {"select_account", "login"} & set(ask.prompts):
        return _ahead(ask, hinted)
    return _chooser(ask, hinted)


@blueprint.get("/<tenant>/adminconsent")
@blueprint.get("/<tenant>/v2.0/adminconsent")
def admin_consent(tenant: str) -> Response:
    """Microsoft's older form names no scopes and means all that the app is registered with."""
    told = {"response_type": "code", "scope": request.args.get("scope") or " ".join(MEANINGS)}
    ask = Ask.read(request.args, tenant=_tenant(tenant), for_all="1", **told)
    return _chooser(ask, None)


@blueprint.get("/signin/chosen")
def chosen() -> Response:
    ask = Ask.read(request.args)
    return _ahead(ask, _account(request.args))


@blueprint.post("/signin/consent")
def decide() -> Response:
    ask, account = Ask.read(request.form), _account(request.form)
    if request.form.get("decision") != "accept":
        return ask.cancelled()
    _check_may_consent(ask, account)
    if ask.for_all:
        return _granted_for_all(ask, account)
    store = current().store
    if request.form.get("everybody") and account.admin:
        grants.consent_for_all(store, account.tenant_id, ask.client_id, set(ask.scopes))
    grants.consent(store, account, ask.client_id, set(ask.scopes))
    return _code(ask, account)


def _ahead(ask: Ask, account: Account) -> Response:
    """The next page this account still has to see, if any."""
    _check_welcome(ask, account)
    if ask.for_all:
        return _page("consent.html" if account.admin else "no_admin.html", ask, account=account)
    if "consent" not in ask.prompts and _allowed(ask, account):
        return _code(ask, account)
    if not _may_consent(ask, account):
        return _page("approval.html", ask, account=account)
    return _page("consent.html", ask, account=account)


def _allowed(ask: Ask, account: Account) -> bool:
    consented = grants.consented(current().store, account, ask.client_id)
    if not consented or not of_graph(consented) >= of_graph(ask.scopes):
        return False
    # Whoever may use the app at all may use it to sign in, and while away.
    grants.consent(current().store, account, ask.client_id, set(ask.scopes))
    return True


def _may_consent(ask: Ask, account: Account) -> bool:
    tenant = directory.tenant_of(current().store, account)
    return account.admin or tenant.users_consent


def _check_may_consent(ask: Ask, account: Account) -> None:
    _check_welcome(ask, account)
    if not (account.admin if ask.for_all else _may_consent(ask, account)):
        raise Blocked(NEEDS_ADMIN)


def _check_welcome(ask: Ask, account: Account) -> None:
    """Whether this kind of account may sign in where the app sent it to."""
    tenant = ask.values["tenant"]
    personal = account.tenant_id == CONSUMERS
    welcome = tenant == "common" or (tenant == "organizations" and not personal)
    if not (welcome or account.tenant_id == tenant):
        words = (
            f"User account '{account.email}' from identity provider 'live.com' does not exist in "
            f"tenant '{tenant}' and cannot access the application '{ask.client_id}' "
            f"({current().settings.app_name}) in that tenant."
        )
        raise Blocked(StsError("invalid_request", 50020, words))
    if account.shared:
        raise Blocked(errors.account_disabled())


def _granted_for_all(ask: Ask, account: Account) -> Response:
    store = current().store
    grants.consent_for_all(store, account.tenant_id, ask.client_id, set(ask.scopes))
    scopes = " ".join(ask.scopes)
    return ask.back(admin_consent="True", tenant=account.tenant_id, scope=scopes)


def _code(ask: Ask, account: Account) -> Response:
    code = grants.issue_code(current(), account, ask.code_request(), set(ask.scopes))
    return ask.back(code=code, session_state=account.oid)


def _without_pages(ask: Ask, account: Account | None) -> Response:
    if account is None:
        words = "Session information is not sufficient for single-sign-on."
        return ask.refused(StsError("login_required", 50058, words))
    if not _allowed(ask, account):
        words = errors.no_consent(ask.client_id, current().settings.app_name).words
        return ask.refused(StsError("consent_required", 65001, words))
    return _code(ask, account)


def _chooser(ask: Ask, hinted: Account | None) -> Response:
    return _page("chooser.html", ask, people=_people(ask), hinted=hinted)


def _people(ask: Ask) -> list[Account]:
    """Those who can sign in here at all; a shared mailbox is nobody who could."""
    tenant, people = ask.values["tenant"], directory.every(current().store)
    people = [one for one in people if not one.shared]
    if tenant == "common":
        return people
    if tenant == "organizations":
        return [one for one in people if one.tenant_id != CONSUMERS]
    return [one for one in people if one.tenant_id == tenant]


def _account(source: MultiDict[str, str]) -> Account:
    account = directory.by_name(current().store, source.get("account", ""))
    if account is None:
        words = "The user account does not exist in the directory."
        raise Blocked(StsError("invalid_request", 50034, words))
    return account


def _tenant(name: str) -> str:
    try:
        return endpoints.known_tenant(name)
    except StsError as refusal:
        raise Blocked(refusal) from None


def _check_app(told: dict[str, str]) -> None:
    for name in ("client_id", "redirect_uri", "response_type", "scope"):
        if name not in told:
            words = f"The request body must contain the following parameter: '{name}'."
            raise Blocked(StsError("invalid_request", 900144, words))
    settings, client_id = current().settings, told["client_id"]
    if client_id != settings.client_id:
        raise Blocked(errors.app_unknown(client_id, told.get("tenant", "common")))
    if not may_return_to(told["redirect_uri"], settings.redirect_uris):
        words = (
            f"The redirect URI '{told['redirect_uri']}' specified in the request does not match "
            f"the redirect URIs configured for the application '{client_id}'."
        )
        raise Blocked(StsError("invalid_request", 50011, words))
    if told["response_type"] != "code":
        words = f"response_type '{told['response_type']}' is not enabled for the application."
        raise Blocked(StsError("unsupported_response_type", 700054, words))


def _page(template: str, ask: Ask, **values: object) -> Response:
    # Two refusals differ in their trace id alone: the page is the same for the same ask.
    again = {**ask.values, "prompt": "select_account"}
    path = "admin_consent" if ask.for_all else "authorize"
    html = render_template(
        template,
        ask=ask,
        app_name=current().settings.app_name,
        meanings=MEANINGS,
        cancel_url=ask.cancelled().location,
        refused_url=ask.refused(NEEDS_ADMIN).location,
        other_url=f"{url_for(f'consent.{path}', tenant=ask.values['tenant'])}?{urlencode(again)}",
        tenant=lambda one: directory.tenant_of(current().store, one),
        **values,
    )
    # Browsers hold the redirect after a form to the page's policy too.
    back = urlsplit(ask.values["redirect_uri"])
    g.form_target = f"{back.scheme}://{back.netloc}"
    return make_response(html)


def _redirect(target: str) -> Response:
    answer = make_response(redirect(target))
    answer.headers["Cache-Control"] = "no-store"
    return answer
