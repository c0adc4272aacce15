"""Grant: what one account allowed one app, and the codes and tokens that carry it."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass

from portal.sandbox import accounts, clients
from portal.sandbox.accounts import Account
from portal.sandbox.errors import OAuthError
from portal.sandbox.google import LocalGoogle
from portal.sandbox.store import Store

CODE_LIFE = 600.0
ACCESS_LIFE = 3_600.0
EXPIRES_IN = 3_599
TESTING_LIFE = 7 * 86_400.0
IDLE_LIFE = 183 * 86_400.0
MOST_REFRESH_TOKENS = 100
DEAD_WORDS = {
    "": "Token has been expired or revoked.",
    "invalid_rapt": "reauth related error (invalid_rapt)",
}


@dataclass(frozen=True, slots=True)
class Grant:
    id: int
    account: Account
    client_id: str
    scopes: frozenset[str]
    refresh_token: str | None
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class CodeRequest:
    client_id: str
    redirect_uri: str
    nonce: str | None
    challenge: str | None
    challenge_method: str | None
    offline: bool
    consent_forced: bool


def consented(store: Store, account: Account, client_id: str) -> set[str]:
    scopes = store.value(
        "SELECT scopes FROM consents WHERE account_id = ? AND client_id = ?", account.id, client_id
    )
    return set(str(scopes or "").split())


def issue_code(google: LocalGoogle, account: Account, asked: CodeRequest, scopes: set[str]) -> str:
    """Consent is remembered; a refresh token comes with the first one, or a forced one."""
    store, code = google.store, "4/0A" + secrets.token_urlsafe(54)
    with store.transaction():
        earlier = consented(store, account, asked.client_id)
        store.run(
            "INSERT OR REPLACE INTO consents (account_id, client_id, scopes) VALUES (?, ?, ?)",
            *(account.id, asked.client_id, " ".join(sorted(earlier | scopes))),
        )
        store.insert(
            "codes",
            code=code,
            account_id=account.id,
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            scopes=" ".join(sorted(scopes)),
            nonce=asked.nonce,
            challenge=asked.challenge,
            challenge_method=asked.challenge_method,
            refreshable=int(asked.offline and (asked.consent_forced or not earlier)),
            expires=google.clock.now() + CODE_LIFE,
        )
    return code


def redeem(
    google: LocalGoogle, client_id: str, code: str, redirect_uri: str, verifier: str | None
) -> Grant:
    with google.store.transaction():
        row = google.store.row("SELECT * FROM codes WHERE code = ?", code)
        if row is None or row["client_id"] != client_id:
            raise OAuthError("invalid_grant", "Malformed auth code.")
        if row["grant_id"] is None:
            return _redeem(google, row, redirect_uri, verifier)
    # Outside the transaction, so that the refusal does not undo the revocation.
    _kill(google.store, "id = ?", row["grant_id"])
    raise OAuthError("invalid_grant", "Bad Request")


def _redeem(
    google: LocalGoogle, row: sqlite3.Row, redirect_uri: str, verifier: str | None
) -> Grant:
    if row["expires"] < google.clock.now():
        raise OAuthError("invalid_grant", "Bad Request")
    if row["redirect_uri"] != redirect_uri:
        raise OAuthError("redirect_uri_mismatch", "Bad Request")
    _check_verifier(row["challenge"], row["challenge_method"], verifier)
    account = accounts.by_id(google.store, row["account_id"])
    scopes = frozenset(row["scopes"].split())
    grant = create(
        google, account, row["client_id"], scopes, offline=bool(row["refreshable"]),
        nonce=row["nonce"],
    )  # fmt: skip
    google.store.run("UPDATE codes SET grant_id = ? WHERE code = ?", grant.id, row["code"])
    return grant


def create(
    google: LocalGoogle,
    account: Account,
    client_id: str,
    scopes: frozenset[str],
    *,
    offline: bool,
    nonce: str | None = None,
) -> Grant:
    now = google.clock.now()
    token = "1//0" + secrets.token_urlsafe(72) if offline else None
    grant_id = google.store.insert(
        "grants",
        account_id=account.id,
        client_id=client_id,
        scopes=" ".join(sorted(scopes)),
        refresh_token=token,
        at=now,
        used=now,
        expires=now + TESTING_LIFE if google.settings.testing else None,
    )
    _retire_oldest(google.store, account.id, client_id)
    return Grant(grant_id, account, client_id, scopes, token, nonce)


def refresh(google: LocalGoogle, client_id: str, token: str) -> Grant:
    row = google.store.row(
        "SELECT * FROM grants WHERE refresh_token = ? AND client_id = ?", token, client_id
    )
    if row is None:
        raise OAuthError("invalid_grant", "Bad Request")
    now = google.clock.now()
    expired = (row["expires"] or now) < now or row["used"] + IDLE_LIFE < now
    if row["dead"] is not None or expired:
        subtype = row["dead"] or ""
        words = DEAD_WORDS.get(subtype, "Bad Request")
        raise OAuthError("invalid_grant", words, subtype=subtype)
    google.store.run("UPDATE grants SET used = ? WHERE id = ?", now, row["id"])
    account = accounts.by_id(google.store, row["account_id"])
    return Grant(row["id"], account, client_id, frozenset(row["scopes"].split()), None)


def access_token(google: LocalGoogle, grant: Grant) -> str:
    token, now = "ya29.a0" + secrets.token_urlsafe(96), google.clock.now()
    with google.store.transaction():
        google.store.run("DELETE FROM access_tokens WHERE expires < ?", now)
        google.store.insert(
            "access_tokens", token=token, grant_id=grant.id, expires=now + ACCESS_LIFE
        )
    return token


def owner_of(google: LocalGoogle, token: str) -> tuple[Account, frozenset[str]] | None:
    row = google.store.row(
        "SELECT g.account_id, g.scopes FROM access_tokens t JOIN grants g ON g.id = t.grant_id"
        " WHERE t.token = ? AND t.expires > ? AND g.dead IS NULL",
        *(token, google.clock.now()),
    )
    if row is None:
        return None
    account = accounts.by_id(google.store, row["account_id"])
    return account, frozenset(row["scopes"].split())


def revoke(store: Store, token: str) -> bool:
    """One token revoked takes back all that its account granted to the whole project."""
    account_id = store.value(
        "SELECT g.account_id FROM grants g LEFT JOIN access_tokens t ON t.grant_id = g.id"
        " WHERE (g.refresh_token = ? OR t.token = ?) AND g.dead IS NULL LIMIT 1",
        *(token, token),
    )
    if account_id is None:
        return False
    revoke_account(store, account_id)
    return True


def revoke_account(store: Store, account_id: int, subtype: str = "") -> int:
    with store.transaction():
        store.run("DELETE FROM consents WHERE account_id = ?", account_id)
        return _kill(store, "account_id = ? AND dead IS NULL", account_id, subtype=subtype)


def remaining(store: Store, grant: Grant, now: float) -> int | None:
    """Seconds left to a refresh token that an app in testing was given."""
    expires = store.value("SELECT expires FROM grants WHERE id = ?", grant.id)
    return None if expires is None else int(expires - now)


def _kill(store: Store, where: str, value: int, *, subtype: str = "") -> int:
    return store.run(f"UPDATE grants SET dead = ? WHERE {where}", subtype, value)


def _retire_oldest(store: Store, account_id: int, client_id: str) -> None:
    store.run(
        "UPDATE grants SET dead = '' WHERE id IN (SELECT id FROM grants WHERE account_id = ?"
        " AND client_id = ? AND refresh_token IS NOT NULL AND dead IS NULL"
        " ORDER BY id DESC LIMIT -1 OFFSET ?)",
        *(account_id, client_id, MOST_REFRESH_TOKENS),
    )


def _check_verifier(challenge: str | None, how: str | None, verifier: str | None) -> None:
    if not challenge:
        return
    if not verifier:
        raise OAuthError("invalid_grant", "Missing code verifier.")
    if not clients.proves(verifier, challenge, how):
        raise OAuthError("invalid_grant", "Invalid code verifier.")
