"""Grant: what one account allowed one app, and the codes and tokens that carry it.

Each refresh brings a new refresh token with 90 days of its own; an older one keeps what is left of
its own 90 days. Whoever does not keep the new one is signed out 90 days after the sign-in.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass

from portal.sandbox import clients
from portal.sandbox.microsoft import directory, errors
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.microsoft import LocalMicrosoft
from portal.sandbox.store import Store

CODE_LIFE = 600.0
ACCESS_LIFE = 3_600.0
EXPIRES_IN = 3_599
IDLE_LIFE = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Grant:
    id: int
    account: Account
    client_id: str
    scopes: frozenset[str]
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class CodeRequest:
    client_id: str
    redirect_uri: str
    nonce: str | None
    challenge: str | None
    challenge_method: str | None


def consented(store: Store, account: Account, client_id: str) -> set[str]:
    """What the account agreed to, and what an administrator agreed to for all of its tenant."""
    rows = store.rows(
        "SELECT scopes FROM consents WHERE account_id = ? AND client_id = ?"
        " UNION ALL SELECT scopes FROM tenant_consents WHERE tenant_id = ? AND client_id = ?",
        *(account.id, client_id, account.tenant_id, client_id),
    )
    return {scope for row in rows for scope in row["scopes"].split()}


def consent(store: Store, account: Account, client_id: str, scopes: set[str]) -> None:
    told = (account.id, client_id)
    before = store.value(
        "SELECT scopes FROM consents WHERE account_id = ? AND client_id = ?", *told
    )
    both = " ".join(sorted(scopes | set((before or "").split())))
    store.run("INSERT OR REPLACE INTO consents VALUES (?, ?, ?)", *told, both)


def consent_for_all(store: Store, tenant_id: str, client_id: str, scopes: set[str]) -> None:
    told = (tenant_id, client_id)
    sql = "SELECT scopes FROM tenant_consents WHERE tenant_id = ? AND client_id = ?"
    both = " ".join(sorted(scopes | set((store.value(sql, *told) or "").split())))
    store.run("INSERT OR REPLACE INTO tenant_consents VALUES (?, ?, ?)", *told, both)


def issue_code(
    microsoft: LocalMicrosoft, account: Account, asked: CodeRequest, scopes: set[str]
) -> str:
    code = f"1.A{secrets.token_urlsafe(90)}"
    microsoft.store.insert(
        "codes",
        code=code,
        account_id=account.id,
        client_id=asked.client_id,
        redirect_uri=asked.redirect_uri,
        scopes=" ".join(sorted(scopes)),
        nonce=asked.nonce,
        challenge=asked.challenge,
        challenge_method=asked.challenge_method,
        expires=microsoft.clock.now() + CODE_LIFE,
    )
    return code


def redeem(
    microsoft: LocalMicrosoft, client_id: str, code: str, back: str, verifier: str | None
) -> Grant:
    store = microsoft.store
    with store.transaction():
        row = store.row("SELECT * FROM codes WHERE code = ? AND client_id = ?", code, client_id)
        if row is None or row["redirect_uri"] != back:
            raise errors.not_valid("code" if row is None else "redirect_uri")
        if row["used"]:
            raise errors.code_used()
        if row["expires"] < microsoft.clock.now():
            raise errors.code_expired()
        _check_verifier(row, verifier)
        store.run("UPDATE codes SET used = 1 WHERE code = ?", code)
        account = directory.by_id(store, row["account_id"])
        made = create(microsoft, account, client_id, frozenset(row["scopes"].split()))
    return Grant(made.id, account, client_id, made.scopes, row["nonce"])


def create(
    microsoft: LocalMicrosoft, account: Account, client_id: str, scopes: frozenset[str]
) -> Grant:
    grant_id = microsoft.store.insert(
        "grants",
        account_id=account.id,
        client_id=client_id,
        scopes=" ".join(sorted(scopes)),
        at=microsoft.clock.now(),
    )
    return Grant(grant_id, account, client_id, scopes)


def refresh(microsoft: LocalMicrosoft, client_id: str, token: str) -> Grant:
    store, now = microsoft.store, microsoft.clock.now()
    row = store.row(
        "SELECT g.*, r.issued FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id"
        " WHERE r.token = ? AND g.client_id = ?",
        *(token, client_id),
    )
    if row is None:
        raise errors.not_valid("refresh_token")
    _check_alive(row, microsoft)
    if row["issued"] + IDLE_LIFE < now:
        raise errors.idle_too_long(row["issued"])
    account = directory.by_id(store, row["account_id"])
    scopes = frozenset(row["scopes"].split())
    allowed = consented(store, account, client_id)
    if not scopes <= allowed:
        raise errors.no_consent(client_id, microsoft.settings.app_name)
    return Grant(row["id"], account, client_id, scopes)


def refresh_token(microsoft: LocalMicrosoft, grant: Grant) -> str:
    token = f"1.A{secrets.token_urlsafe(24)}.AgABAwEAAAA{secrets.token_urlsafe(160)}"
    microsoft.store.insert(
        "refresh_tokens", token=token, grant_id=grant.id, issued=microsoft.clock.now()
    )
    return token


def access_token(microsoft: LocalMicrosoft, grant: Grant) -> str:
    """Opaque to the app, as Microsoft asks apps to take it."""
    token, now = f"EwB{secrets.token_urlsafe(150)}", microsoft.clock.now()
    with microsoft.store.transaction():
        microsoft.store.run("DELETE FROM access_tokens WHERE expires < ?", now - ACCESS_LIFE)
        microsoft.store.insert(
            "access_tokens", token=token, grant_id=grant.id, expires=now + ACCESS_LIFE
        )
    return token


def owner_of(microsoft: LocalMicrosoft, token: str) -> tuple[Account, frozenset[str]] | None:
    row = microsoft.store.row(
        "SELECT g.account_id, g.scopes FROM access_tokens t JOIN grants g ON g.id = t.grant_id"
        " WHERE t.token = ? AND t.expires > ? AND g.dead IS NULL",
        *(token, microsoft.clock.now()),
    )
    if row is None:
        return None
    account = directory.by_id(microsoft.store, row["account_id"])
    return account, frozenset(row["scopes"].split())


def account_of(store: Store, token: str, code: str) -> Account | None:
    """Whose refresh token or code this is."""
    account_id = store.value(
        "SELECT g.account_id FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id"
        " WHERE r.token = ? UNION SELECT account_id FROM codes WHERE code = ? LIMIT 1",
        *(token, code),
    )
    return None if account_id is None else directory.by_id(store, account_id)


def revoke(microsoft: LocalMicrosoft, account: Account, number: int) -> int:
    """Ends all that the account granted; number: the AADSTS error a refresh meets from now on."""
    store = microsoft.store
    with store.transaction():
        if number == 65001:
            store.run("DELETE FROM consents WHERE account_id = ?", account.id)
        return store.run(
            "UPDATE grants SET dead = ?, dead_at = ? WHERE account_id = ? AND dead IS NULL",
            *(number, microsoft.clock.now(), account.id),
        )


def _check_alive(row: sqlite3.Row, microsoft: LocalMicrosoft) -> None:
    settings = microsoft.settings
    if row["dead"] is not None:
        raise {
            700082: lambda: errors.idle_too_long(row["issued"]),
            70008: errors.code_expired,
            65001: lambda: errors.no_consent(settings.client_id, settings.app_name),
            50076: errors.more_factors,
            50079: errors.enrol_factors,
            50057: errors.account_disabled,
        }.get(row["dead"], errors.withdrawn)()


def _check_verifier(row: sqlite3.Row, verifier: str | None) -> None:
    if not row["challenge"]:
        return
    if not clients.proves(verifier or "", row["challenge"], row["challenge_method"]):
        raise errors.wrong_verifier()
