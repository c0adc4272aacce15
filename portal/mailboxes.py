"""Mailboxes: the connected accounts, the addresses each may send as, and the secrets of each.

This module alone reads and writes tokens. They are sealed at rest for their own row (vault.py), and
refreshed by one process at a time: whoever holds the row's refresh lease asks, the others re-read.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import current_app
from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    LargeBinary,
    UniqueConstraint,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from portal import consent, health, history, hosts, instance, vault
from portal.accounts import User
from portal.columns import UtcDateTime, db_now, lapsed, now
from portal.config import Config
from portal.consent import How
from portal.envelope import NeedsPermission, NeedsSignIn, OperatorProblem, TryLater
from portal.extensions import Base, db
from portal.health import Facts
from portal.people import address_key
from portal.providers import KINDS, Gmail, Graph, Kind, Smtp, application, google, microsoft, smtp
from portal.providers.application import Client
from portal.providers.imap import Inbox
from portal.providers.provider import Abilities, Access, ListedAddress, Provider
from portal.providers.relayed import Relayed
from portal.providers.signing import Account, Grant, SignIn
from portal.providers.submission import Secret, Server, Terms, Unusable, of_url
from portal.senders import Consent, Said, SendFrom
from portal.stores import rows_changed
from portal.vault import CannotOpen

#: With whom each kind of mailbox that one signs in to gets its access.
SIGN_INS: dict[str, SignIn] = {"gmail": google, "microsoft": microsoft}
#: Ask for a new access token this long before the old one ends.
EARLY = timedelta(seconds=90)
REFRESH_LEASE = 45
#: Somebody waits for it before a page, and a server that answers later is of little use.
TRY_SECONDS = 12.0
#: By what the portal's own relay is known, which belongs to nobody.
RELAY = "relay"
NO_RELAY = "The portal's own relay is not set up on this machine (RELAY_URL)."
#: The columns that hold secrets.
SEALED = ("access_token", "refresh_token", "password")
KEYS_DO_NOT_FIT = "This portal's TOKEN_KEYS do not open the mailbox's stored sign-in."


class Health(StrEnum):
    """What a mailbox can do now, judged by its last real call."""

    CONNECTED = "connected"
    NEEDS_SIGN_IN = "needs_sign_in"
    PERMISSION_MISSING = "permission_missing"
    DISCONNECTED = "disconnected"


def issuers() -> dict[str, str]:
    """For each kind of mailbox that one signs in to, who is configured now, by the address at which
    it describes itself."""
    config: Config = current_app.config["PORTAL"]
    return {"gmail": config.GOOGLE_DISCOVERY_URL, "microsoft": config.MICROSOFT_AUTHORITY_URL}


def this_google() -> str:
    """The Google that is configured now."""
    return issuers()["gmail"]


class Mailbox(Base):
    """A connected account. owner_id None means it belongs to the company.

    provider: its kind (portal.providers.KINDS). issuer: the Google or Microsoft it was connected
    at; no other is ever offered its tokens. Nothing for kinds that have no such issuer.
    """

    __tablename__ = "mailboxes"
    __table_args__ = (UniqueConstraint("provider", "issuer", "account_sub"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(default="gmail")
    issuer: Mapped[str] = mapped_column(default=this_google)
    account_sub: Mapped[str]
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    hosted_domain: Mapped[str] = mapped_column(default="")
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    is_company_default: Mapped[bool] = mapped_column(default=False)
    scopes: Mapped[str] = mapped_column(default="")
    health: Mapped[str] = mapped_column(default=Health.CONNECTED)
    health_note: Mapped[str] = mapped_column(default="")
    connected_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    addresses_checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pause_note: Mapped[str] = mapped_column(default="")
    #: What sort of pause it is or was (health.Pause).
    pause_kind: Mapped[str] = mapped_column(default="")
    #: The first call that failed on the way since one succeeded.
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when it sends no more until somebody signs in again: this names the breakdown.
    broke_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When the sign-in ends by itself, where the provider said so, and whether the one before
    #: lasted just seven days.
    grant_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lasted_a_week: Mapped[bool] = mapped_column(default=False)
    #: When it was last looked after without anything to send (portal.upkeep).
    looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    access_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    access_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refresh_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    password: Mapped[bytes | None] = mapped_column(LargeBinary)
    #: Where its server is and how it is spoken to; no secrets. See the kind's own module.
    server: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    refresh_holder: Mapped[str | None]
    refresh_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    drain_holder: Mapped[str | None]
    drain_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The ledger: until when the units of a minute are spent, by the provider's pace.
    paced_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Units a minute that the provider was found to allow, where that is less than configured.
    learned_units: Mapped[int | None]
    learned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when a person lets nothing leave through it.
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    owner: Mapped[User | None] = relationship(foreign_keys=owner_id)
    held_by: Mapped[User | None] = relationship(foreign_keys=held_by_id)
    addresses: Mapped[list["Address"]] = relationship(
        back_populates="mailbox", order_by="Address.id"
    )

    @property
    def granted(self) -> set[str]:
        return set(self.scopes.split())

    @property
    def provider_name(self) -> str:
        """Who takes its mail, as a page names them: Gmail, Microsoft 365, mail.example.com."""
        if self.is_relay:
            return "the portal’s relay"
        host = str((self.server or {}).get("host", ""))
        outside = "." in host and hosts.ip_of(host) is None
        return host if self.provider == "smtp" and outside else self.kind.label

    @property
    def kind(self) -> Kind:
        return KINDS[self.provider]

    @property
    def abilities(self) -> Abilities:
        """What it offers, by its provider and by what was granted."""
        found = self.kind.abilities(self.granted)
        return found if self.read_at is None else replace(found, incoming=Access.WHOLE)

    @property
    def read_at(self) -> Server | None:
        """The server where what comes in is read (IMAP), if this mailbox has one of its own."""
        stored = (self.server or {}).get("incoming")
        return Server.from_json(stored) if stored else None

    @property
    def missing_scopes(self) -> list[str]:
        """The permissions of the full level that were not granted, nor a broader one instead."""
        held = self.granted.union(*(self.kind.covers.get(one, ()) for one in self.granted))
        return [scope for scope in self.kind.full if scope not in held]

    @property
    def send_only(self) -> bool:
        """It can send in one step alone, so that an unclear outcome goes to a person."""
        return self.abilities.send and not self.abilities.two_phase

    @property
    def is_relay(self) -> bool:
        """Whether it is the portal's own relay, which sends where a rule says so and never else."""
        return self.account_sub == RELAY

    @property
    def can_send(self) -> bool:
        return self.health == Health.CONNECTED and not self.is_elsewhere

    @property
    def is_elsewhere(self) -> bool:
        """Whether another Google or Microsoft is configured now than it was connected at."""
        return self.issuer != issuers().get(self.provider, self.issuer)

    @property
    def can_list_addresses(self) -> bool:
        return self.abilities.list_addresses

    @property
    def takes_addresses(self) -> bool:
        """Whether further addresses can be added: its provider lists them, or they are tried."""
        return self.can_send and (self.can_list_addresses or not self.kind.lists)

    @property
    def can_read_sent(self) -> bool:
        return self.abilities.read_sent

    @property
    def is_paused(self) -> bool:
        """Whether Gmail asked to be left alone for now."""
        return self.paused_until is not None and self.paused_until > now()

    @property
    def sign_in_lasted_a_week(self) -> bool:
        """Seven days is how long Google lets a sign-in live while the project is in Testing."""
        last = self.checked_at or self.connected_at
        return self.provider == "gmail" and health.lasted_a_week(self.connected_at, last)

    @property
    def why_not(self) -> str:
        """Why it cannot send, as one sentence; empty when it can."""
        return health.why_not(self.facts())

    def facts(self, full_until: datetime | None = None) -> Facts:
        """What health judges it by. full_until: what the ledger says of its day."""
        return Facts(
            email=self.email,
            account=self.kind.account,
            stored=self.health,
            elsewhere=self.is_elsewhere,
            held_since=self.held_at,
            held_by=self.held_by.name if self.held_at and self.held_by else "",
            paused_until=self.paused_until,
            pause_kind=self.pause_kind or "",
            pause_note=self.pause_note,
            failing_since=self.failing_since,
            full_until=full_until,
            checked_at=self.checked_at,
            connected_at=self.connected_at,
            ends_at=self.grant_ends_at,
            lasted_a_week=self.lasted_a_week,
        )

    def row_name(self, column: str) -> str:
        """What a sealed secret of this row is bound to."""
        return f"mailboxes/{self.provider}/{self.issuer}/{self.account_sub}/{column}"


class Address(Base):
    """A send-from address of a mailbox.

    verification: wanted (somebody is adding it), pending, accepted, lost (no longer listed),
    mistrusted (the provider put another From in its place), denied (it refused mail from it), or
    untried (where the provider keeps no list, until a first message has proved it).
    """

    __tablename__ = "addresses"
    __table_args__ = (UniqueConstraint("mailbox_id", "email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(default="")
    verification: Mapped[str]
    is_primary: Mapped[bool] = mapped_column(default=False)
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    mailbox: Mapped[Mailbox] = relationship(back_populates="addresses", lazy="joined")


class CannotConnect(Exception):
    """The account that came back cannot be taken; the message says why. Nothing was changed."""


class Elsewhere(NeedsSignIn):
    """The mailbox belongs to another Google. Its sign-in there is as good as it was."""


def is_here() -> ColumnElement[bool]:
    """Whether a mailbox was connected at who is configured now."""
    elsewhere = [
        and_(Mailbox.provider == kind, Mailbox.issuer != issuer)
        for kind, issuer in issuers().items()
    ]
    return ~or_(*elsewhere)


# -- finding -------------------------------------------------------------------------------------


def of_company() -> ColumnElement[bool]:
    """Whether a mailbox is the company's; the portal's relay is nobody's."""
    return and_(Mailbox.owner_id.is_(None), Mailbox.account_sub != RELAY)


def company_mailboxes() -> list[Mailbox]:
    """The company's mailboxes, the default one first; the portal's relay is none of them."""
    query = select(Mailbox).where(of_company())
    query = query.order_by(Mailbox.is_company_default.desc(), Mailbox.id)
    return list(db.session.scalars(query))


def company_default() -> Mailbox | None:
    """The mailbox that Default means; None where the company has none."""
    query = select(Mailbox).where(of_company())
    query = query.order_by(Mailbox.is_company_default.desc(), Mailbox.id).limit(1)
    return db.session.scalars(query).first()


def all_mailboxes() -> list[Mailbox]:
    return list(db.session.scalars(select(Mailbox).order_by(Mailbox.id)))


def to_be_told_of(ids: Iterable[int]) -> list[Mailbox]:
    """The mailboxes that a page may have to say something of: each that is not in order, or whose
    sign-in may end by itself, and these."""
    troubled = or_(
        Mailbox.health != Health.CONNECTED,
        Mailbox.failing_since.is_not(None),
        Mailbox.grant_ends_at.is_not(None),
        Mailbox.lasted_a_week,
        Mailbox.id.in_(ids),
        ~is_here(),
    )
    return list(db.session.scalars(select(Mailbox).where(troubled).order_by(Mailbox.id)))


def mailbox_of(user: User) -> Mailbox | None:
    """A person's own mailbox, if they connected one; one of this Google's before another's."""
    query = select(Mailbox).where(Mailbox.owner_id == user.id)
    return db.session.scalars(query.order_by(~is_here(), Mailbox.id)).first()


def may_manage(box: Mailbox, user: User) -> bool:
    """Whether a person may reconnect, disconnect and add addresses: its owner alone, or for a
    company mailbox the managers."""
    return user.is_manager if box.owner_id is None else box.owner_id == user.id


def send_from_addresses() -> list[SendFrom]:
    """Every address of every mailbox, as the sender policy sees them; company default first."""
    query = select(Address).join(Address.mailbox)
    query = query.options(joinedload(Address.mailbox).joinedload(Mailbox.owner))
    query = query.order_by(Mailbox.is_company_default.desc(), Mailbox.id, Address.id)
    people = consent.by_address()
    return [_as_policy_sees(one, people) for one in db.session.scalars(query).unique()]


def _as_policy_sees(one: Address, people: dict[str, Consent]) -> SendFrom:
    box = one.mailbox
    # What was accepted once may be so no longer, and nobody would see it: where there is a list,
    # only the account's own address is certain without it.
    listed = box.can_list_addresses or one.is_primary or not box.kind.lists
    unseen = one.verification == "accepted" and not listed
    return SendFrom(
        email=one.email,
        name=one.name,
        mailbox_id=box.id,
        mailbox_email=box.email,
        owner_id=box.owner_id,
        verification="unseen" if unseen else one.verification,
        is_primary=one.is_primary,
        can_send=box.can_send,
        why_not=box.why_not,
        owner_email=box.owner.email if box.owner else "",
        is_relay=box.is_relay,
        consent=_consent_to(one, people),
    )


def _consent_to(one: Address, people: dict[str, Consent]) -> Consent | None:
    """What the person said whose address it is; a company mailbox's own is nobody's."""
    owner = one.mailbox.owner
    if one.is_primary:
        said = people.get(address_key(one.email))
        return None if owner is None else said or consent.of(owner)
    return people.get(address_key(one.email))


# -- connecting ----------------------------------------------------------------------------------


def connect(
    account: Account,
    grant: Grant,
    *,
    owner: User | None,
    expected: Mailbox | None = None,
    kind: str = "gmail",
) -> Mailbox:
    """Store what Google or Microsoft granted. Raises CannotConnect, having changed nothing."""
    box = _by_account(kind, account.sub)
    _refuse_wrong_account(account, box, owner, expected)
    begins = box is None or box.health == Health.DISCONNECTED
    if not grant.refresh_token and (box is None or box.refresh_token is None):
        raise CannotConnect(
            f"{KINDS[kind].account} gave no lasting permission. "
            "Start again and allow access when asked."
        )
    _agree(owner if begins else None)
    box = box or _new_box(kind, account, owner)
    box.scopes, box.grant_ends_at = " ".join(sorted(grant.scopes)), None
    _keep_grant(box, grant)
    _settle(box, account)
    return box


def connect_server(
    account: Account,
    server: Server,
    password: str,
    *,
    owner: User | None,
    expected: Mailbox | None = None,
) -> Mailbox:
    """Store a mailbox at a mail server, where the log-in has just worked (see try_server).

    Raises CannotConnect, having changed nothing.
    """
    box = _by_account("smtp", account.sub)
    _refuse_wrong_account(account, box, owner, expected)
    begins = box is None or box.health == Health.DISCONNECTED
    _agree(owner if begins else None)
    box = box or _new_box("smtp", account, owner)
    incoming = (box.server or {}).get("incoming")
    box.server = {**server.as_json(), **({"incoming": incoming} if incoming else {})}
    box.password = _sealed(box, "password", password)
    _settle(box, account)
    return box


def let_read(box: Mailbox, server: Server | None) -> None:
    """Read what comes in at this server from now on, with the mailbox's password, where the log-in
    has just worked (see try_inbox); None: read nothing. Commits."""
    kept = {name: value for name, value in box.server.items() if name != "incoming"}
    box.server = {**kept, "incoming": server.as_json()} if server else kept
    db.session.commit()


def _new_box(kind: str, account: Account, owner: User | None) -> Mailbox:
    box = Mailbox(account_sub=account.sub, owner_id=owner.id if owner else None)
    box.is_company_default = owner is None and not company_mailboxes()
    box.provider, box.issuer, box.scopes = kind, issuers().get(kind, ""), ""
    db.session.add(box)
    return box


def _agree(owner: User | None) -> None:
    """Whoever connects their own mailbox agrees that mail leaves from it; the pages say so.

    Signing in again to one that broke says nothing new: who took it back has still taken it back.
    """
    if owner is not None and not owner.is_department:
        consent.record(owner, Said.AGREED, How.MAILBOX)


def _settle(box: Mailbox, account: Account) -> None:
    """All that a new connection, or one made again, begins with. Commits."""
    box.lasted_a_week = box.broke_at is not None and box.sign_in_lasted_a_week
    box.broke_at = box.failing_since = box.looked_at = None
    box.email, box.name = account.email, account.name
    box.hosted_domain, box.connected_at = account.hosted_domain, now()
    box.addresses_checked_at = None
    box.paused_until, box.pause_note, box.pause_kind = None, "", ""
    _judge(box)
    db.session.flush()
    _keep_primary(box)
    db.session.commit()


def disconnect(box: Mailbox) -> bool:
    """Forget the tokens, then hand the grant back to Google. Returns whether Google confirmed."""
    had, token = box.refresh_token is not None, ""
    with contextlib.suppress(CannotOpen):  # what cannot be read can still be forgotten
        token = _opened(box, "refresh_token") if had else ""
    box.access_token = box.refresh_token = box.access_expires_at = box.password = None
    box.health, box.health_note, box.broke_at = Health.DISCONNECTED, "", None
    # On a copy of the portal, handing it back would take it from the real one.
    not_ours = box.is_elsewhere or instance.is_stopped()
    db.session.commit()
    if not_ours:
        return not had
    return SIGN_INS[box.provider].revoke(token) if token else not had


def forget_all() -> None:
    """Forget every sign-in here alone: Google is told nothing. The caller commits."""
    secrets = dict.fromkeys((*SEALED, "access_expires_at"))
    forgotten = update(Mailbox).values(health=Health.DISCONNECTED, health_note="", **secrets)
    db.session.execute(forgotten)


def want_address(box: Mailbox, email: str, name: str = "") -> Address:
    """Remember an address somebody is about to add, so that it can be watched for, or tried."""
    found = put_address(box, email, name)
    db.session.commit()
    return found


def put_address(box: Mailbox, email: str, name: str = "") -> Address:
    """want_address() as one part of something larger: the caller commits."""
    found = _address(box, email)
    if found is None:
        email = email.lower()
        first = "wanted" if box.kind.lists else "untried"
        found = Address(mailbox_id=box.id, email=email, name=name, verification=first)
        db.session.add(found)
    elif found.verification == "lost":
        found.verification, found.since = "wanted", now()
    box.addresses_checked_at = None
    return found


def forget_address(address: Address) -> None:
    """Drop an address that nothing can be sent from (any more)."""
    if address.verification in ("wanted", "lost", "untried", "denied"):
        db.session.delete(address)
        db.session.commit()


def make_default(box: Mailbox) -> None:
    """Let this company mailbox be the one that Default means."""
    for one in company_mailboxes():
        one.is_company_default = one.id == box.id
    db.session.commit()


def hold(box: Mailbox, user: User) -> None:
    """Let nothing leave through it until somebody lets it go. Commits."""
    if box.held_at is None:
        box.held_at, box.held_by_id = now(), user.id
        history.note("mailbox", box.id, f"Mail of {box.email} held.", user.name)
    db.session.commit()


def let_go(box: Mailbox, user: User) -> None:
    """Let mail leave through it again after hold(). Commits."""
    if box.held_at is not None:
        box.held_at, box.held_by_id = None, None
        history.note("mailbox", box.id, f"Mail of {box.email} let go.", user.name)
    db.session.commit()


# -- using ---------------------------------------------------------------------------------------


def provider_for(box: Mailbox) -> Provider:
    """The provider, ready to call for this mailbox. Call it with no transaction open."""
    return PROVIDERS[box.provider](box, current_app.config["PORTAL"])


def _gmail(box: Mailbox, config: Config) -> Gmail:
    web = f"{config.GMAIL_WEB_URL}/mail/u/{quote(box.email, safe='@')}"
    token, patience = _token_of(box.id), config.PROVIDER_TIMEOUT
    return Gmail(config.GMAIL_API_URL, box.granted, token, patience, web=web)


def _graph(box: Mailbox, config: Config) -> Graph:
    return Graph(
        config.GRAPH_URL,
        box.granted,
        _token_of(box.id),
        config.PROVIDER_TIMEOUT,
        settles=config.MICROSOFT_SETTLES,
    )


def _smtp(box: Mailbox, config: Config) -> Smtp:
    if box.is_relay:
        return _relay(config)
    server, secret, terms = Server.from_json(box.server), _password_of(box), _terms(config)
    read_at, patience = box.read_at, config.PROVIDER_TIMEOUT
    inbox = Inbox(read_at, secret, terms, patience) if read_at else None
    return Smtp(server, secret, terms, patience, inbox)


def _relay(config: Config) -> Smtp:
    """The relay as it is configured where this runs; no secret of it is stored."""
    server, password = of_url(config.RELAY_URL)
    client = Client(
        config.RELAY_TOKEN_URL,
        config.RELAY_CLIENT_ID,
        config.RELAY_CLIENT_SECRET,
        config.RELAY_TOKEN_SCOPE,
        config.PROVIDER_TIMEOUT,
    )

    def secret() -> Secret:
        if not config.RELAY_URL:
            raise OperatorProblem(NO_RELAY, "RELAY_URL is not set")
        return Secret(token=application.token(client)) if client.url else Secret(password)

    terms = _terms(config, relay=True)
    renew = partial(application.forget, client)
    return Relayed(server, secret, terms, config.PROVIDER_TIMEOUT, renew)


def _password_of(box: Mailbox) -> Callable[[], Secret]:
    """Opens the password as it is stored now, when a connection needs it."""
    keys, name, sealed, why = _keys(), box.row_name("password"), box.password, box.why_not

    def opened() -> Secret:
        if sealed is None:
            raise NeedsSignIn(why or "This mailbox has no password.")
        try:
            return Secret(vault.open_sealed(keys, name, sealed))
        except CannotOpen as problem:
            raise OperatorProblem(KEYS_DO_NOT_FIT, str(problem)) from problem

    return opened


def _terms(config: Config, *, relay: bool = False) -> Terms:
    """What the operator allows; the relay's host they named themselves."""
    return Terms(
        None if relay else hosts.entries(config.SMTP_ALLOWED_HOSTS),
        hosts.entries(config.SMTP_CLEAR_TEXT_HOSTS),
        config.SMTP_CA_FILE,
    )


def try_server(server: Server, password: str, sender: str) -> None:
    """Log in at a mail server and ask whether it would take mail from an address; nothing is sent.

    Raises Unusable. Call it with no transaction open.
    """
    config: Config = current_app.config["PORTAL"]
    secret = Secret(password)
    provider = Smtp(server, lambda: secret, _terms(config), config.PROVIDER_TIMEOUT)
    provider.check(sender, min(TRY_SECONDS, config.PROVIDER_TIMEOUT))


def try_inbox(server: Server, password: str) -> None:
    """Log in where what comes in is read, and open the inbox; nothing is changed there.

    Raises Unusable. Call it with no transaction open.
    """
    config: Config = current_app.config["PORTAL"]
    secret = Secret(password)
    inbox = Inbox(server, lambda: secret, _terms(config), config.PROVIDER_TIMEOUT)
    inbox.check(min(TRY_SECONDS, config.PROVIDER_TIMEOUT))


def _token_of(box_id: int) -> Callable[[str], str]:
    return lambda refused: access_token(box_id, refused=refused)


PROVIDERS: dict[str, Callable[[Mailbox, Config], Provider]] = {
    "gmail": _gmail,
    "microsoft": _graph,
    "smtp": _smtp,
}


def refresh_addresses(box: Mailbox) -> list[Address]:
    """Read Gmail's list and store it. Returns the addresses that have just become accepted."""
    box_id = box.id
    if not box.can_list_addresses:
        return []
    provider, signed_in = provider_for(box), box.connected_at
    db.session.commit()
    try:
        listed = provider.addresses()
    except (NeedsSignIn, NeedsPermission) as problem:
        mark_broken(box_id, problem, Mailbox.connected_at == signed_in)
        raise
    return _store_listed(_locked(box_id), listed)


def check(box_id: int) -> None:
    """Make the cheapest real call, which renews the access on its way, and store what came of it.

    Raises what the provider answers. Call it with no transaction open.
    """
    box = db.session.get_one(Mailbox, box_id, populate_existing=True)
    signed_in = box.connected_at
    try:
        if box.can_list_addresses:
            refresh_addresses(box)
        elif box.provider == "smtp":
            _check_server(box)
        else:
            provider = provider_for(box)
            db.session.commit()
            access_token(box_id)
            with contextlib.suppress(NeedsPermission):  # which it may lack, and send all the same
                provider.candidates()
    except (NeedsSignIn, NeedsPermission) as problem:
        mark_broken(box_id, problem, Mailbox.connected_at == signed_in)
        raise
    mark_working(box_id)
    db.session.commit()


def _check_server(box: Mailbox) -> None:
    """Log in at its mail server. Raises NeedsSignIn or TryLater."""
    server, secret = Server.from_json(box.server), _password_of(box)
    sender, config = box.email, current_app.config["PORTAL"]
    db.session.commit()
    provider = Smtp(server, secret, _terms(config), config.PROVIDER_TIMEOUT)
    try:
        provider.check(sender, TRY_SECONDS)
    except Unusable as failure:
        raise smtp.no_connection(failure, server) from failure


def note_candidates(box: Mailbox) -> list[Address]:
    """Remember the further addresses its provider names, where it keeps no list of what may be sent
    from. Returns those that are new here; each is to be tried out. Commits."""
    if box.kind.lists or not box.can_send:
        return []
    box_id, provider = box.id, provider_for(box)
    db.session.commit()
    named = provider.candidates()
    box = _locked(box_id)
    fresh = [put_address(box, one) for one in named if _address(box, one) is None]
    db.session.commit()
    return fresh


def send_from(box: Mailbox, email: str) -> SendFrom | None:
    """One address of one mailbox, as the sender policy sees it."""
    found = _address(box, email)
    return _as_policy_sees(found, consent.by_address()) if found else None


def mistrust(box_id: int, email: str) -> None:
    """Gmail put another From in this one's place: nothing more leaves under it. No commit."""
    db.session.execute(
        update(Address)
        .where(Address.mailbox_id == box_id, Address.email == email.lower())
        .values(verification="mistrusted", since=now())
    )


def deny(box_id: int, email: str) -> None:
    """The provider refused mail from this address: nothing more is tried under it. No commit."""
    db.session.execute(
        update(Address)
        .where(Address.mailbox_id == box_id, Address.email == email.lower())
        .values(verification="denied", since=now())
    )


def believe(box_id: int, email: str) -> None:
    """A trial has shown that the mailbox may send as this address. No commit."""
    db.session.execute(
        update(Address)
        .where(Address.mailbox_id == box_id, Address.email == email.lower())
        .values(verification="accepted", since=now(), checked_at=now())
    )


def trust(address: Address) -> None:
    """Somebody has looked into it: take Gmail's word for this address again. Commits."""
    if address.verification == "mistrusted":
        address.verification, address.since = "wanted", now()
        address.mailbox.addresses_checked_at = None
        db.session.commit()


def mark_broken(
    box_id: int, problem: NeedsSignIn | NeedsPermission, *conditions: ColumnElement[bool]
) -> None:
    """Remember that a mailbox cannot send until somebody signs in again. Commits.

    conditions: what must still hold, such as connected_at; somebody may have signed in since.
    """
    if isinstance(problem, Elsewhere):  # back at its own Google it sends again, as it is
        return
    signing_in = isinstance(problem, NeedsSignIn)
    lacks = Health.NEEDS_SIGN_IN if signing_in else Health.PERMISSION_MISSING
    db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == box_id, Mailbox.health == Health.CONNECTED, *conditions)
        .values(health=lacks, health_note=problem.words[:300], broke_at=now())
    )
    db.session.commit()


def mark_working(box_id: int) -> None:
    """A real call has just succeeded. The caller commits."""
    works = {"checked_at": now(), "failing_since": None}
    db.session.execute(update(Mailbox).where(Mailbox.id == box_id).values(**works))


def pause(box_id: int, seconds: float, why: str, kind: health.Pause = health.Pause.LIMIT) -> None:
    """Leave a mailbox alone for a while; it may have been asked to rest for longer. Commits."""
    shorter = or_(Mailbox.paused_until.is_(None), Mailbox.paused_until < db_now(seconds))
    values: dict[str, Any] = {"paused_until": db_now(seconds), "pause_note": why}
    if kind != health.Pause.LIMIT:
        values["failing_since"] = func.coalesce(Mailbox.failing_since, now())
    db.session.execute(
        update(Mailbox).where(Mailbox.id == box_id, shorter).values(pause_kind=kind, **values)
    )
    db.session.commit()


# -- tokens --------------------------------------------------------------------------------------


def access_token(box_id: int, *, refused: str = "") -> str:
    """A token that works, other than one just refused; asked for by one process at a time.

    Commits. Raises NeedsSignIn, OperatorProblem or TryLater; Elsewhere before anything is asked.
    """
    deadline = time.monotonic() + REFRESH_LEASE + 5
    try:
        while time.monotonic() < deadline:
            token = _stored_token(box_id, refused) or _renewed_token(box_id, refused)
            if token:
                return token
            time.sleep(0.05)
    except CannotOpen as problem:
        db.session.rollback()
        raise OperatorProblem(KEYS_DO_NOT_FIT, str(problem)) from problem
    raise TryLater("Another process is still asking for access.")


def _stored_token(box_id: int, refused: str) -> str:
    """The stored access token while it is good, else nothing."""
    box = db.session.get_one(Mailbox, box_id, populate_existing=True)
    if box.is_elsewhere:
        raise _elsewhere(box)
    fresh = bool(box.access_expires_at and box.access_expires_at - EARLY > now())
    token = _opened(box, "access_token") if box.access_token and fresh else ""
    signed_in, why_not = box.refresh_token is not None, box.why_not
    db.session.commit()
    if not signed_in:
        raise NeedsSignIn(why_not or "This mailbox has no sign-in.")
    return "" if token == refused else token


def _elsewhere(box: Mailbox) -> Elsewhere:
    problem = Elsewhere(box.why_not, f"connected at {box.issuer}")
    db.session.commit()
    return problem


def _renewed_token(box_id: int, refused: str) -> str:
    """Ask Google, if nobody else is asking. Nothing when there is something new to look at."""
    holder = uuid.uuid4().hex
    if not _take_refresh_lease(box_id, holder):
        return ""
    try:  # whoever had the lease a moment ago may have asked already
        return _stored_token(box_id, refused) or _refresh(box_id)
    finally:
        _end_refresh_lease(box_id, holder)


def _take_refresh_lease(box_id: int, holder: str) -> bool:
    taken = db.session.execute(
        update(Mailbox)
        .where(
            Mailbox.id == box_id,
            lapsed(Mailbox.refresh_until, REFRESH_LEASE),
        )
        .values(refresh_holder=holder, refresh_until=db_now(REFRESH_LEASE))
    )
    db.session.commit()
    return rows_changed(taken) == 1


def _end_refresh_lease(box_id: int, holder: str) -> None:
    db.session.rollback()
    db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == box_id, Mailbox.refresh_holder == holder)
        .values(refresh_holder=None, refresh_until=None)
    )
    db.session.commit()


def _refresh(box_id: int) -> str:
    """A new access token, stored; nothing when somebody signed in again while we asked."""
    box = db.session.get_one(Mailbox, box_id, populate_existing=True)
    used, secret, kind = box.refresh_token, _opened(box, "refresh_token"), box.provider
    db.session.commit()
    try:
        grant = SIGN_INS[kind].refresh(secret)
    except NeedsSignIn as problem:
        mark_broken(box_id, problem, Mailbox.refresh_token == used)
        box = db.session.get_one(Mailbox, box_id, populate_existing=True)
        reconnected = box.refresh_token not in (None, used)
        db.session.commit()
        if reconnected:
            return ""
        raise
    box = _locked(box_id)
    current = box.refresh_token == used
    if current:
        _keep_grant(box, grant)
    db.session.commit()
    return grant.access_token if current else ""


def _locked(box_id: int) -> Mailbox:
    """The mailbox as it is now, and nobody else's to change until the commit."""
    return db.session.get_one(Mailbox, box_id, populate_existing=True, with_for_update=True)


def rotate_keys() -> int:
    """Seal every token under the first of TOKEN_KEYS. Safe to interrupt and repeat."""
    newest = next(iter(_keys()))
    ids = list(db.session.scalars(select(Mailbox.id).order_by(Mailbox.id)))
    db.session.commit()
    return sum(_rotate(box_id, newest) for box_id in ids)


def _rotate(box_id: int, newest: str) -> int:
    box, changed = _locked(box_id), 0
    for column in SEALED:
        sealed = getattr(box, column)
        if sealed and vault.key_name(sealed) != newest:
            setattr(box, column, _sealed(box, column, _opened(box, column)))
            changed += 1
    db.session.commit()
    return changed


def refuse_unreadable() -> None:
    """Stop the start when a stored token cannot be opened: a wrong key is not a revoked grant."""
    for box in all_mailboxes():
        for column in SEALED:
            if getattr(box, column):
                _opened(box, column)
    db.session.commit()


# -- helpers -------------------------------------------------------------------------------------


def _keys() -> dict[str, bytes]:
    config: Config = current_app.config["PORTAL"]
    return config.TOKEN_KEYS


def _sealed(box: Mailbox, column: str, secret: str) -> bytes:
    return vault.seal(_keys(), box.row_name(column), secret)


def _opened(box: Mailbox, column: str) -> str:
    return vault.open_sealed(_keys(), box.row_name(column), getattr(box, column))


def _keep_grant(box: Mailbox, grant: Grant) -> None:
    box.access_token = _sealed(box, "access_token", grant.access_token)
    box.access_expires_at = now() + timedelta(seconds=grant.lifetime)
    if grant.ends_in:
        box.grant_ends_at = now() + timedelta(seconds=grant.ends_in)
    if grant.refresh_token:  # a refresh usually answers without one: the old one stays good
        box.refresh_token = _sealed(box, "refresh_token", grant.refresh_token)


def _judge(box: Mailbox) -> None:
    box.health = Health.CONNECTED if box.abilities.send else Health.PERMISSION_MISSING
    box.health_note = ""
    box.checked_at = now()


def _by_account(kind: str, sub: str) -> Mailbox | None:
    return db.session.scalar(
        select(Mailbox).where(
            Mailbox.provider == kind,
            Mailbox.issuer == issuers().get(kind, ""),
            Mailbox.account_sub == sub,
        )
    )


def _refuse_wrong_account(
    account: Account, box: Mailbox | None, owner: User | None, expected: Mailbox | None
) -> None:
    if expected is not None and expected.is_elsewhere:
        sentence = expected.why_not
        raise CannotConnect(f"{sentence} Nothing was changed. Connect it here as a new mailbox.")
    if expected is not None and expected.account_sub != account.sub:
        raise CannotConnect(
            f"You signed in as {account.email}, but this mailbox is {expected.email}. "
            f"Nothing was changed. Try again and choose {expected.email}."
        )
    owner_id = owner.id if owner else None
    if box is not None and box.owner_id != owner_id:
        whose = box.owner.name if box.owner else "the company"
        raise CannotConnect(f"{account.email} is already connected, as the mailbox of {whose}.")
    if owner is not None and box is None and expected is None:
        other = mailbox_of(owner)
        if other is not None and not other.is_elsewhere:
            raise CannotConnect(f"You have already connected {other.email}. Disconnect it first.")


def _keep_primary(box: Mailbox) -> None:
    """The account's own address can always be sent from, whether or not we may read the list.

    An account may have got another address since: its former one is an ordinary address now.
    """
    for one in box.addresses:
        one.is_primary = one.email == box.email
    found = _address(box, box.email)
    if found is None:
        found = Address(mailbox_id=box.id, email=box.email, name=box.name, verification="accepted")
        db.session.add(found)
    found.verification, found.is_primary, found.checked_at = "accepted", True, now()


def _address(box: Mailbox, email: str) -> Address | None:
    return db.session.scalar(
        select(Address).where(Address.mailbox_id == box.id, Address.email == email.lower())
    )


def _store_listed(box: Mailbox, listed: list[ListedAddress]) -> list[Address]:
    stored = {one.email: one for one in box.addresses}
    fresh = []
    for one in listed:
        row = stored.pop(one.email, None)
        if row is None:
            row = Address(mailbox_id=box.id, email=one.email, verification="wanted")
            db.session.add(row)
        row.is_primary = one.is_primary
        if _believed(row, one):
            row.verification, row.since = one.verification, now()
            if one.verification == "accepted":
                fresh.append(row)
        row.name, row.checked_at = one.name, now()
    for (
        row
    ) in stored.values():  # Gmail lists it no more; one somebody is adding is simply not there yet
        if row.verification != "wanted":
            row.verification, row.is_primary, row.since = "lost", False, now()
    box.addresses_checked_at = box.checked_at = now()
    box.failing_since = None
    db.session.commit()
    db.session.refresh(box, ["addresses"])
    return fresh


def _believed(row: Address, one: ListedAddress) -> bool:
    """Whether Gmail's list changes what we hold. Its "accepted" alone does not lift mistrust."""
    if row.verification == "mistrusted" and one.verification == "accepted":
        return False
    return row.verification != one.verification
