"""Settings: what one local Microsoft is started with, and what steering may change later."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1024 * 1024
MAX_REQUEST_BYTES = 4 * MEGABYTE
#: Smaller files are attached at once, not through an upload session.
SESSION_FROM_BYTES = 3 * MEGABYTE
MAX_ATTACHMENT_BYTES = 150 * MEGABYTE
MAX_RECIPIENTS = 500
OWN_DOMAINS = ("brightspark.example", "homes.example", "elsewhere.example", "copperco.example")
STEERABLE = (
    "send_delay",
    "requests_per_ten_minutes",
    "calls_at_once",
    "upload_bytes_per_five_minutes",
    "messages_per_minute",
    "recipients_per_day",
    "consumer_daily",
    "message_bytes",
    "x_headers_kept",
    "keeps_message_id",
    "headers_on_sent_copies",
    "immutable_ids_hold",
    "sends_again",
    "shared_uploads",
    "secret_expired",
    "authentication",
)


@dataclass
class MicrosoftSettings:
    """A limit of 0 means: no limit."""

    client_id: str = "10ca1000-0000-4000-8000-000000000001"
    client_secret: str = "local-microsoft-secret"
    redirect_uris: tuple[str, ...] = ()
    app_name: str = "Sendwright"
    store_path: str | None = None
    seed: bool = True
    domains: tuple[str, ...] = OWN_DOMAINS
    #: Seconds between 202 and the mail's leaving.
    send_delay: float = 0.3
    requests_per_ten_minutes: int = 10_000
    calls_at_once: int = 4
    upload_bytes_per_five_minutes: int = 150 * MEGABYTE
    #: Mail beyond it leaves later; the 202 bears Retry-After, though nothing is to be done again.
    messages_per_minute: int = 30
    recipients_per_day: int = 10_000
    #: Messages a day of a personal account.
    consumer_daily: int = 300
    message_bytes: int = 35 * MEGABYTE
    #: How many headers of the caller's own a message may bear.
    x_headers_kept: int = 5
    #: Exchange gives each message an id of its own; whether by MIME one's own survives is open.
    keeps_message_id: bool = False
    #: Microsoft lists a message's headers where it was received, and not on the sender's copy.
    headers_on_sent_copies: bool = False
    #: Documented; a few have seen an immutable id change all the same.
    immutable_ids_hold: bool = True
    #: Whether sending what has left already sends it again. Nothing is documented of it.
    sends_again: bool = False
    #: A known issue of Microsoft's: large files fail in other people's mailboxes.
    shared_uploads: bool = True
    #: The app's client secret has run out (AADSTS7000222).
    secret_expired: bool = False
    #: What a receiver is to find of a mail in place of the truth: "spf=fail dkim=none".
    authentication: str = ""

    def steer(self, changes: dict[str, object]) -> None:
        for name, value in changes.items():
            kind = type(getattr(self, name)) if name in STEERABLE else None
            fits = type(value) is kind or (kind is float and type(value) is int)
            if kind is None or not fits:
                raise ValueError(f"{name}={value!r}: steer one of {', '.join(STEERABLE)}")
            setattr(self, name, kind(value))

    def steerable(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in STEERABLE}
