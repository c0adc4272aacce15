"""Steering: what tests and operators tell a local Microsoft, and ask it, beside Graph."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, jsonify, request

from portal.sandbox import mime
from portal.sandbox.microsoft import directory, grants, graph_delta, items, posting
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.grants import Grant
from portal.sandbox.microsoft.microsoft import LocalMicrosoft, current
from portal.sandbox.microsoft.scopes import asked, joined
from portal.sandbox.mime import Head
from portal.sandbox.telling import Json, Misunderstood, steering_blueprint, told

blueprint = steering_blueprint(current)
USUAL_SCOPES = "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send"


@blueprint.get("/accepted")
def accepted() -> Response:
    """Every mail that was taken to be sent, oldest first, with whether it has left yet; `after`
    names the last one already known, `mailbox` one mailbox, `raw=1` brings the bytes along."""
    microsoft = current()
    posting.let_leave(microsoft)
    rows = microsoft.store.rows(
        "SELECT a.*, m.email mailbox, p.email asked_by FROM accepted a"
        " JOIN accounts m ON m.id = a.account_id JOIN accounts p ON p.id = a.asker_id"
        " WHERE a.seq > ? AND (? IS NULL OR m.email = ?) ORDER BY a.seq",
        request.args.get("after", 0, type=int),
        *(request.args.get("mailbox"), request.args.get("mailbox")),
    )
    with_raw = request.args.get("raw") == "1"
    return jsonify([_accepted(microsoft, row, with_raw=with_raw) for row in rows])


@blueprint.delete("/accepted")
@told
def forget_accepted(given: Json) -> Json:
    """Forgets what was accepted; the mail itself stays."""
    return {"forgotten": current().store.run("DELETE FROM accepted")}


@blueprint.post("/tenants")
@told
def put_tenant(given: Json) -> Json:
    """Adds the tenant of `domain` (`name`, `id`), or changes it: `users_consent`,
    `send_from_alias`."""
    store, domain = current().store, str(given["domain"])
    found = directory.tenant(store, domain)
    if found is None:
        tenant_id = str(given.get("id") or uuid.uuid4())
        found = directory.add_tenant(store, tenant_id, str(given.get("name") or domain), domain)
        _own(domain)
    for name in ("users_consent", "send_from_alias"):
        if name in given:
            sql = f"UPDATE tenants SET {name} = ? WHERE id = ?"
            store.run(sql, int(bool(given[name])), found.id)
    return _tenant(directory.tenant(store, domain))


@blueprint.post("/accounts")
@told
def put_account(given: Json) -> Json:
    """Adds an account (`email`, `name`, `admin`, `shared`, `aliases`), or changes it: `mailbox`
    turns its mailbox off or on. Its tenant is that of its domain, or the personal accounts'."""
    store = current().store
    with store.transaction():
        account = directory.by_name(store, given["email"]) or directory.add(
            store,
            given["email"],
            str(given.get("name") or given["email"].partition("@")[0]),
            shared=bool(given.get("shared")),
        )
        for alias in given.get("aliases", []):
            directory.put_alias(store, account, alias)
        store.run(
            "UPDATE accounts SET mailbox = ?, admin = ?, name = ? WHERE id = ?",
            *(int(given.get("mailbox", account.mailbox)), int(given.get("admin", account.admin))),
            *(str(given.get("name") or account.name), account.id),
        )
    _own(account.domain)
    return _described(directory.by_id(store, account.id))


@blueprint.post("/rights")
@told
def put_right(given: Json) -> Json:
    """Gives `account` a right (`kind`: send_as, send_on_behalf, full_access) in `mailbox`, or with
    `given` false takes it away."""
    account, mailbox = _account(given, "account"), _account(given, "mailbox")
    store = current().store
    directory.allow(store, account, given["kind"], mailbox, given=bool(given.get("given", True)))
    return _described(mailbox)


@blueprint.delete("/aliases")
@told
def delete_alias(given: Json) -> Json:
    """Takes the alias `email` away."""
    return {"deleted": current().store.run("DELETE FROM aliases WHERE email = ?", given["email"])}


@blueprint.post("/tokens")
@told
def mint(given: Json) -> Json:
    """Tokens of `email` for `scopes` without the dance, for tests that are about something else."""
    microsoft, account = current(), _account(given)
    scopes, unknown = asked(given.get("scopes") or USUAL_SCOPES)
    if unknown:
        raise Misunderstood(f"Unknown scopes: {' '.join(unknown)}")
    client_id = microsoft.settings.client_id
    grants.consent(microsoft.store, account, client_id, set(scopes))
    grant: Grant = grants.create(microsoft, account, client_id, frozenset(scopes))
    return {
        "access_token": grants.access_token(microsoft, grant),
        "refresh_token": grants.refresh_token(microsoft, grant),
        "expires_in": grants.EXPIRES_IN,
        "scope": joined(grant.scopes),
        "oid": account.oid,
        "tid": account.tenant_id,
    }


@blueprint.post("/revoke")
@told
def revoke(given: Json) -> Json:
    """Ends all that `email` granted; `code` is the AADSTS number that a refresh meets from now on:
    50173 (usual), 700082, 70008, 65001, 50076, 50079 or 50057."""
    account, number = _account(given), int(given.get("code", 50173))
    return {"revoked": grants.revoke(current(), account, number)}


@blueprint.delete("/drafts/<draft_id>")
@told
def delete_draft(given: Json) -> Json:
    """As its owner would throw it away by hand, in Outlook: into Deleted Items, or with `purge`
    for good. The id is the immutable one."""
    microsoft = current()
    posting.let_leave(microsoft)
    item = items.by_immutable_id(microsoft.store, given["draft_id"])
    if item is None or not item.draft:
        raise Misunderstood(f"There is no draft {given['draft_id']}.")
    if given.get("purge"):
        items.remove(microsoft.store, item)
    else:
        items.move(microsoft.store, item, "deleteditems", microsoft.clock.now())
    return {"deleted": item.immutable_id}


@blueprint.post("/undeliverable")
@told
def undeliverable(given: Json) -> Json:
    """Mail to `email` fails from now on with `status`: a 5.x.x comes back, a 4.x.x is late."""
    status = str(given.get("status", "5.1.10"))
    diagnostic = str(given.get("diagnostic") or f"550 {status} The address was refused.")
    current().store.run(
        "INSERT OR REPLACE INTO undeliverable (email, status, diagnostic) VALUES (?, ?, ?)",
        *(given["email"], status, diagnostic),
    )
    return {"email": given["email"], "status": status, "diagnostic": diagnostic}


@blueprint.post("/deliver")
@told
def deliver(given: Json) -> Json:
    """Mail from outside: `raw` (base64url) arrives in the inbox of `account`, now or `at` (seconds
    since 1970); many at once as a list of such `mails`."""
    microsoft, account = current(), _account(given, "account")
    with microsoft.store.transaction():
        came = [_arrived(microsoft, account, one) for one in given.get("mails", [given])]
    return {"ids": came} if "mails" in given else {"id": came[0]}


@blueprint.delete("/messages/<id>")
@told
def delete_message(given: Json) -> Json:
    """As its owner would delete a message for good. The id is the immutable one."""
    item = items.by_immutable_id(current().store, given["id"])
    if item is None:
        raise Misunderstood(f"There is no message {given['id']}.")
    items.remove(current().store, item)
    return {"deleted": item.immutable_id}


@blueprint.post("/delta")
@told
def forget_deltas(given: Json) -> Json:
    """Makes every delta and its links so far too old for `account`."""
    return {"generation": graph_delta.forget(current().store, _account(given, "account").id)}


@blueprint.get("/state")
def state() -> Response:
    """Tenants, accounts, live tokens, drafts, calls counted by method and those of them that were
    refused as too many (429), settings."""
    microsoft = current()
    posting.let_leave(microsoft)
    store = microsoft.store
    drafts = store.rows(
        "SELECT i.immutable_id id, a.email account, i.subject FROM items i"
        " JOIN accounts a ON a.id = i.account_id WHERE i.folder = 'drafts' ORDER BY i.seq"
    )
    return jsonify(
        {
            "tenants": [_tenant(one) for one in directory.tenants(store)],
            "accounts": [_described(account) for account in directory.every(store)],
            "tokens": store.value("SELECT COUNT(*) FROM grants WHERE dead IS NULL"),
            "drafts": [dict(row) for row in drafts],
            "accepted": store.value("SELECT COUNT(*) FROM accepted"),
            "calls": dict(microsoft.calls),
            "refused": dict(+microsoft.refused),
            "clock_offset": microsoft.clock.offset,
            "settings": microsoft.settings.steerable(),
        }
    )


def _arrived(microsoft: LocalMicrosoft, account: Account, told_of: Json) -> str:
    raw, at = mime.from_base64url(told_of["raw"]), told_of.get("at")
    moment = None if at is None else float(at)
    return posting.receive(microsoft, account, raw, at=moment).immutable_id


def _accepted(microsoft: LocalMicrosoft, row: Any, *, with_raw: bool) -> Json:
    head = Head.parse(row["head"])
    entry: Json = {"number": row["seq"], "id": row["immutable_id"]}
    entry |= {"accepted_at": row["at"], "left_at": row["left_at"]}
    entry |= {name: row[name] for name in ("mailbox", "asked_by", "asked_from")}
    entry |= {name: head.text(name) for name in ("from", "sender", "to", "cc", "bcc", "subject")}
    entry |= {"message_id": head.raw("Message-ID"), "headers": dict(head.pairs())}
    if with_raw:
        body = microsoft.store.value("SELECT bytes FROM bodies WHERE id = ?", row["body_id"])
        entry["raw"] = mime.to_base64url(row["head"] + b"\r\n" + (body or b""))
    return entry


def _tenant(tenant: directory.Tenant | None) -> Json:
    assert tenant is not None
    names = ("id", "name", "domain", "users_consent", "send_from_alias")
    return {name: getattr(tenant, name) for name in names}


def _described(account: Account) -> Json:
    store = current().store
    live = "SELECT COUNT(*) FROM grants WHERE account_id = ? AND dead IS NULL"
    names = ("email", "name", "oid", "tenant_id", "admin", "mailbox", "shared")
    return {name: getattr(account, name) for name in names} | {
        "aliases": directory.aliases(store, account),
        "rights": [list(pair) for pair in directory.rights(store, account)],
        "tokens": store.value(live, account.id),
    }


def _account(given: Json, name: str = "email") -> Account:
    account = directory.by_name(current().store, str(given[name]))
    if account is None:
        raise Misunderstood(f"There is no account {given[name]}.")
    return account


def _own(domain: str) -> None:
    settings = current().settings
    if domain not in settings.domains:
        settings.domains = (*settings.domains, domain)
