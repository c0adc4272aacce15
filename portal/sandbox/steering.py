"""Steering: what tests and operators tell a local Google, and ask it, beside Google's own API."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from portal.sandbox import accounts, addresses, grants, mailbox, mime, sending
from portal.sandbox.accounts import Account
from portal.sandbox.gmail_drafts import discard
from portal.sandbox.google import LocalGoogle, current
from portal.sandbox.scopes import asked, joined
from portal.sandbox.telling import Json, Misunderstood, steering_blueprint, told

blueprint = steering_blueprint(current)
STATUSES = {"accepted": "accepted", "pending": "pending", "blank": None}


@blueprint.get("/accepted")
def accepted() -> Response:
    """Every mail accepted, oldest first; `after` names the last one already known."""
    google = current()
    rows = google.store.rows(
        "SELECT a.seq number, a.draft_id, a.asked_from, a.at accepted_at, a.message_seq,"
        " c.email mailbox FROM accepted a JOIN accounts c ON c.id = a.account_id"
        " WHERE a.seq > ? AND (? IS NULL OR c.email = ?) ORDER BY a.seq",
        request.args.get("after", 0, type=int),
        *(request.args.get("mailbox"), request.args.get("mailbox")),
    )
    with_raw = request.args.get("raw") == "1"
    return jsonify([_accepted(google, row, with_raw=with_raw) for row in rows])


@blueprint.delete("/accepted")
@told
def forget_accepted(given: Json) -> Json:
    """Forgets what was accepted; the mail itself stays."""
    return {"forgotten": current().store.run("DELETE FROM accepted")}


@blueprint.post("/accounts")
@told
def add_account(given: Json) -> Json:
    """Adds an account (`email`, `name`, `workspace`, `aliases`), or turns its `gmail` off or on."""
    store = current().store
    with store.transaction():
        account = accounts.by_email(store, given["email"])
        if account is None:
            account = accounts.add(
                store,
                given["email"],
                given.get("name") or given["email"].partition("@")[0],
                workspace=bool(given.get("workspace", True)),
            )
        for alias in given.get("aliases", []):
            addresses.put(store, account.id, alias, account.name, native=True)
        store.run(
            "UPDATE accounts SET gmail = ? WHERE id = ?",
            *(int(given.get("gmail", account.gmail)), account.id),
        )
    _own(account.domain)
    return _described(accounts.by_id(store, account.id))


@blueprint.post("/tokens")
@told
def mint(given: Json) -> Json:
    """Tokens without the dance, for tests that are about something else."""
    google, account = current(), _account(given)
    scopes, unknown = asked(given.get("scopes") or "openid email profile")
    if unknown:
        raise Misunderstood(f"Unknown scopes: {' '.join(unknown)}")
    client_id = google.settings.client_id
    grant = grants.create(google, account, client_id, frozenset(scopes), offline=True)
    return {
        "access_token": grants.access_token(google, grant),
        "refresh_token": grant.refresh_token,
        "expires_in": grants.EXPIRES_IN,
        "scope": joined(grant.scopes),
        "sub": account.sub,
    }


@blueprint.post("/revoke")
@told
def revoke(given: Json) -> Json:
    """Takes back all that `email` granted, as its owner or a new password would."""
    account, subtype = _account(given), str(given.get("error_subtype") or "")
    return {"revoked": grants.revoke_account(current().store, account.id, subtype)}


@blueprint.post("/aliases")
@told
def put_address(given: Json) -> Json:
    """Gives a send-from address (`account`, `email`) a `status`: accepted, pending or blank."""
    store, account = current().store, _account(given, "account")
    status = STATUSES[given.get("status", "accepted")]
    before = addresses.find(store, account.id, given["email"])
    name = given.get("name", before.name if before else "")
    native = status is None and given["email"].lower().endswith("@" + account.domain)
    addresses.put(store, account.id, given["email"], name, status=status, native=native)
    address = addresses.find(store, account.id, given["email"])
    if address is None:
        raise Misunderstood("The primary address has no status.")
    if given.get("default"):
        addresses.make_default(store, address)
    return _address(addresses.find(store, account.id, address.email) or address)


@blueprint.delete("/aliases")
@told
def delete_address(given: Json) -> Json:
    """Takes a send-from address (`account`, `email`) away, as its owner would."""
    store, account = current().store, _account(given, "account")
    address = addresses.find(store, account.id, given["email"])
    if address is None:
        raise Misunderstood(f"{account.email} has no address {given['email']}.")
    addresses.delete(store, address)
    return {"deleted": address.email}


@blueprint.delete("/drafts/<draft_id>")
@told
def delete_draft(given: Json) -> Json:
    """As its owner would throw it away by hand, in Gmail."""
    store, draft_id = current().store, given["draft_id"]
    seq = store.value("SELECT seq FROM drafts WHERE id = ?", draft_id)
    message = None if seq is None else mailbox.by_seq(store, seq)
    if message is None:
        raise Misunderstood(f"There is no draft {draft_id}.")
    with store.transaction():
        discard(store, draft_id, message)
    return {"deleted": draft_id}


@blueprint.post("/history")
@told
def forget_history(given: Json) -> Json:
    """Makes every history id so far too old for `account`."""
    account = _account(given, "account")
    mailbox.forget_history(current().store, account.id)
    return {"history_id": mailbox.history_id(current().store, account.id)}


@blueprint.post("/undeliverable")
@told
def undeliverable(given: Json) -> Json:
    """Mail to `email` fails from now on with `status`: a 5.x.x comes back, a 4.x.x is late."""
    status = str(given.get("status", "5.1.1"))
    diagnostic = str(given.get("diagnostic") or f"550 {status} The address was refused.")
    current().store.run(
        "INSERT OR REPLACE INTO undeliverable (email, status, diagnostic) VALUES (?, ?, ?)",
        *(given["email"], status, diagnostic),
    )
    return {"email": given["email"], "status": status, "diagnostic": diagnostic}


@blueprint.post("/deliver")
@told
def deliver(given: Json) -> Json:
    """Mail from outside: `raw` (base64url) arrives in the account's inbox, or under the `labels`
    told (SPAM), now or `at` (seconds since 1970); many at once as a list of such `mails`."""
    google, account = current(), _account(given, "account")
    with google.store.transaction():
        came = [_arrived(google, account, one) for one in given.get("mails", [given])]
    return {"ids": [one.id for one in came]} if "mails" in given else came[0].brief()


@blueprint.delete("/messages/<id>")
@told
def delete_message(given: Json) -> Json:
    """As its owner would delete a message of `account` for good."""
    store, account = current().store, _account(given, "account")
    message = mailbox.find(store, account.id, given["id"])
    if message is None:
        raise Misunderstood(f"{account.email} has no message {given['id']}.")
    mailbox.remove(store, message, keep_body=True)
    return {"deleted": message.id}


@blueprint.get("/state")
def state() -> Response:
    """Accounts with their addresses, live tokens, drafts, calls counted by method and those of them
    that were refused as too many (429), settings."""
    google = current()
    store = google.store
    drafts = store.rows(
        "SELECT d.id, a.email account FROM drafts d JOIN accounts a ON a.id = d.account_id"
        " ORDER BY d.seq"
    )
    return jsonify(
        {
            "accounts": [_described(account) for account in accounts.every(store)],
            "tokens": store.value("SELECT COUNT(*) FROM grants WHERE dead IS NULL"),
            "drafts": [dict(row) for row in drafts],
            "accepted": store.value("SELECT COUNT(*) FROM accepted"),
            "calls": dict(google.calls),
            "refused": dict(google.refused),
            "clock_offset": google.clock.offset,
            "settings": google.settings.steerable(),
        }
    )


def _arrived(google: LocalGoogle, account: Account, told_of: Json) -> mailbox.Message:
    raw, at = mime.from_base64url(told_of["raw"]), told_of.get("at")
    labels = tuple(told_of.get("labels") or ("INBOX", "UNREAD"))
    if not set(labels) <= set(mailbox.SYSTEM_LABELS):
        raise Misunderstood(f"labels: some of {', '.join(mailbox.SYSTEM_LABELS)}")
    moment = None if at is None else float(at)
    return sending.receive(google, account, raw, at=moment, labels=labels)


def _accepted(google: LocalGoogle, row: Any, *, with_raw: bool) -> Json:
    message = mailbox.by_seq(google.store, row["message_seq"])
    assert message is not None
    head = message.head
    entry: Json = {name: row[name] for name in
                   ("number", "mailbox", "draft_id", "asked_from", "accepted_at")}  # fmt: skip
    entry |= {"id": message.id, "thread_id": message.thread_id, "message_id": message.message_id}
    entry |= {name: head.text(name) for name in ("from", "to", "cc", "bcc", "subject")}
    entry["headers"] = dict(head.pairs())
    if with_raw:
        entry["raw"] = mime.to_base64url(mailbox.raw(google.store, message))
    return entry


def _described(account: Account) -> Json:
    google = current()
    live = "SELECT COUNT(*) FROM grants WHERE account_id = ? AND dead IS NULL"
    return {
        "email": account.email,
        "name": account.name,
        "sub": account.sub,
        "workspace": account.workspace,
        "gmail": account.gmail,
        "addresses": [_address(one) for one in addresses.of(google.store, account.id)],
        "tokens": google.store.value(live, account.id),
        "quota_used": google.quota.used(account.id, google.clock.now()),
    }


def _address(address: addresses.Address) -> Json:
    return {
        "email": address.email,
        "name": address.name,
        "status": "primary" if address.is_primary else address.status or "blank",
        "default": address.is_default,
        "code": address.code,
        "link": f"/mail/confirm/{address.link}" if address.link else None,
    }


def _account(given: Json, name: str = "email") -> Account:
    account = accounts.by_email(current().store, str(given[name]))
    if account is None:
        raise Misunderstood(f"There is no account {given[name]}.")
    return account


def _own(domain: str) -> None:
    settings = current().settings
    if domain not in settings.domains:
        settings.domains = (*settings.domains, domain)
