"""LocalGoogle: everything that one running stand-in holds, reachable from its views."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flask import current_app

from portal.sandbox import accounts
from portal.sandbox.clock import Clock
from portal.sandbox.faults import Faults
from portal.sandbox.google_faults import KINDS, refusal
from portal.sandbox.quota import Quota
from portal.sandbox.settings import SandboxSettings
from portal.sandbox.store import Store
from portal.sandbox.tables import ALL_TABLES, MAIL_TABLES, SCHEMA


@dataclass
class LocalGoogle:
    settings: SandboxSettings
    store: Store
    clock: Clock
    faults: Faults = field(default_factory=lambda: Faults(KINDS, refusal))
    quota: Quota = field(default_factory=Quota)
    calls: Counter[str] = field(default_factory=Counter)
    #: How many were answered 429, by method.
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def start(cls, settings: SandboxSettings) -> LocalGoogle:
        store = Store(settings.store_path, SCHEMA)
        google = cls(settings, store, Clock(store))
        google.seed()
        return google

    def seed(self) -> None:
        if self.settings.seed and not accounts.every(self.store):
            accounts.seed(self.store)

    def reset(self, *, mail_only: bool = False) -> None:
        self.store.forget(MAIL_TABLES if mail_only else ALL_TABLES)
        self.faults.clear()
        self.quota.clear()
        self.calls.clear()
        self.refused.clear()
        if not mail_only:
            self.clock.reset()
            self.seed()


def current() -> LocalGoogle:
    google: LocalGoogle = current_app.extensions["local_google"]
    return google
