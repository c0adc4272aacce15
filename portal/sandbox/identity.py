"""Identity: the signing key and the id_token by which an app knows who signed in."""

from __future__ import annotations

import base64
import hashlib
import time
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from portal.sandbox.accounts import Account
from portal.sandbox.grants import EXPIRES_IN, Grant
from portal.sandbox.scopes import EMAIL, PROFILE
from portal.sandbox.store import Store

KEY_BITS = 2048


def signing_key(store: Store) -> RSAKey:
    """Made once, and kept with the store: apps may cache it over restarts."""
    pem = store.remembered("signing_key")
    if pem is None:
        with store.transaction():
            pem = store.remembered("signing_key") or _new_key()
            store.remember("signing_key", pem)
    return _loaded(pem)


def public_keys(store: Store) -> dict[str, Any]:
    public = signing_key(store).as_dict(private=False)
    return {"keys": [{**public, "use": "sig", "alg": "RS256"}]}


def id_token(store: Store, issuer: str, grant: Grant, access_token: str) -> str:
    key = signing_key(store)
    digest = hashlib.sha256(access_token.encode()).digest()[:16]
    # The wall's time, not the steered clock's: who checks this looks at his own clock.
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": issuer,
        "azp": grant.client_id,
        "aud": grant.client_id,
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "iat": now,
        "exp": now + EXPIRES_IN + 1,
        **claims_of(grant.account, grant.scopes),
    }
    if grant.nonce:
        claims["nonce"] = grant.nonce
    return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, claims, key)


def claims_of(account: Account, scopes: frozenset[str]) -> dict[str, Any]:
    claims: dict[str, Any] = {"sub": account.sub}
    if account.workspace:
        claims["hd"] = account.domain
    if EMAIL in scopes:
        claims |= {"email": account.email, "email_verified": True}
    if PROFILE in scopes:
        first, _, last = account.name.partition(" ")
        claims |= {"name": account.name, "given_name": first}
        claims |= {"family_name": last} if last else {}
    return claims


def _new_key() -> str:
    return RSAKey.generate_key(KEY_BITS).as_pem(private=True).decode()


@lru_cache(maxsize=8)
def _loaded(pem: str) -> RSAKey:
    key = RSAKey.import_key(pem)
    return RSAKey.import_key(pem, {"kid": key.thumbprint()})
