"""Identity: the id_token by which an app knows who signed in."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

from joserfc import jwt

from portal.sandbox.accounts import Account
from portal.sandbox.grants import EXPIRES_IN, Grant
from portal.sandbox.scopes import EMAIL, PROFILE
from portal.sandbox.signing import signing_key
from portal.sandbox.store import Store


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
