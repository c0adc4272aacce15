"""Settings: what one local Google is started with, and what steering may change later."""

from __future__ import annotations

from dataclasses import dataclass, fields

OWN_DOMAINS = ("brightspark.example", "homes.example", "elsewhere.example", "copperco.example")
MAX_MESSAGE_BYTES = 36_700_160
MAX_RECIPIENTS = 500
STEERABLE = (
    "units_per_minute",
    "units_in_a_burst",
    "calls_at_once",
    "workspace_daily",
    "consumer_daily",
    "verified_app",
    "internal_app",
    "testing",
    "authentication",
)


@dataclass
class SandboxSettings:
    """A limit of 0 means: no limit."""

    client_id: str = "local-client-id"
    client_secret: str = "local-client-secret"
    redirect_uris: tuple[str, ...] = ()
    app_name: str = "Sendwright"
    store_path: str | None = None
    seed: bool = True
    domains: tuple[str, ...] = OWN_DOMAINS
    units_per_minute: int = 6_000
    units_in_a_burst: int = 0
    calls_at_once: int = 0
    workspace_daily: int = 2_000
    consumer_daily: int = 500
    verified_app: bool = False
    internal_app: bool = False
    testing: bool = False
    #: What a receiver is to find of a mail in place of the truth: "spf=fail dkim=none".
    authentication: str = ""

    def steer(self, changes: dict[str, object]) -> None:
        for name, value in changes.items():
            kind = type(getattr(self, name, None)) if name in STEERABLE else None
            if kind is None or type(value) is not kind:
                raise ValueError(f"{name}={value!r}: steer one of {', '.join(STEERABLE)}")
            setattr(self, name, value)

    def steerable(self) -> dict[str, object]:
        names = {field.name for field in fields(self)}
        return {name: getattr(self, name) for name in STEERABLE if name in names}
