"""Identity: the id_token by which an app knows who signed in, and of which tenant."""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Any

from joserfc import jwt

from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.grants import EXPIRES_IN, Grant
from portal.sandbox.signing import signing_key
from portal.sandbox.store import Store


def issuer(origin: str, tenant_id: str) -> str:
    return f"{origin}/{tenant_id}/v2.0"


def id_token(store: Store, origin: str, grant: Grant) -> str:
    key = signing_key(store)
    # The wall's time, not the steered clock's: who checks this looks at his own clock.
    now = int(time.time())
    claims: dict[str, Any] = {
        "aud": grant.client_id,
        "iss": issuer(origin, grant.account.tenant_id),
        "iat": now,
        "nbf": now,
        "exp": now + EXPIRES_IN + 1,
        "tid": grant.account.tenant_id,
        "oid": grant.account.oid,
        "uti": uuid.uuid4().hex[:22],
        "ver": "2.0",
        **claims_of(grant.account, grant.client_id, grant.scopes),
    }
    if grant.nonce:
        claims["nonce"] = grant.nonce
    return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, claims, key)


def claims_of(account: Account, client_id: str, scopes: frozenset[str]) -> dict[str, Any]:
    """`sub` is another one for each app; `oid` is the account's own."""
    pair = hashlib.sha256(f"{client_id} {account.oid}".encode()).hexdigest()
    claims: dict[str, Any] = {"sub": pair[:43]}
    if "profile" in scopes:
        claims |= {"name": account.name, "preferred_username": account.email}
    if "email" in scopes and account.mailbox:
        claims["email"] = account.email
    return claims
