"""LocalMicrosoft: everything that one running stand-in holds, reachable from its views."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flask import current_app

from portal.sandbox.clock import Clock
from portal.sandbox.faults import Faults
from portal.sandbox.microsoft import directory
from portal.sandbox.microsoft.refusals import KINDS, refusal
from portal.sandbox.microsoft.settings import MicrosoftSettings
from portal.sandbox.microsoft.tables import ALL_TABLES, MAIL_TABLES, SCHEMA
from portal.sandbox.microsoft.throttle import Throttle
from portal.sandbox.store import Store


@dataclass
class LocalMicrosoft:
    settings: MicrosoftSettings
    store: Store
    clock: Clock
    faults: Faults = field(default_factory=lambda: Faults(KINDS, refusal))
    throttle: Throttle = field(default_factory=Throttle)
    calls: Counter[str] = field(default_factory=Counter)
    #: How many were answered 429, by method.
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def start(cls, settings: MicrosoftSettings) -> LocalMicrosoft:
        store = Store(settings.store_path, SCHEMA)
        microsoft = cls(settings, store, Clock(store))
        microsoft.seed()
        return microsoft

    def seed(self) -> None:
        if self.settings.seed and not directory.tenants(self.store):
            directory.seed(self.store)

    def reset(self, *, mail_only: bool = False) -> None:
        self.store.forget(MAIL_TABLES if mail_only else ALL_TABLES)
        self.faults.clear()
        self.throttle.clear()
        self.calls.clear()
        self.refused.clear()
        if not mail_only:
            self.clock.reset()
            self.seed()


def current() -> LocalMicrosoft:
    microsoft: LocalMicrosoft = current_app.extensions["local_microsoft"]
    return microsoft
