"""Signing: the key with which a stand-in signs who somebody is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from joserfc.jwk import RSAKey

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


def _new_key() -> str:
    return RSAKey.generate_key(KEY_BITS).as_pem(private=True).decode()


@lru_cache(maxsize=8)
def _loaded(pem: str) -> RSAKey:
    key = RSAKey.import_key(pem)
    return RSAKey.import_key(pem, {"kid": key.thumbprint()})
