"""The settings of one installation, read once from the environment (and an optional ./.env).

Every value is checked before anything starts: a bad or misspelt one raises ConfigProblem, whose
message names the variable and says what to write instead.
"""

import base64
import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from portal import hosts

ROOT = Path(__file__).resolve().parent.parent
TOKEN_KEY_NAME = re.compile(r"[A-Za-z0-9]{1,32}")
#: Where secrets and mail travel.
PROVIDER_URLS = (
    *("GOOGLE_DISCOVERY_URL", "GMAIL_API_URL", "GMAIL_WEB_URL"),
    *("MICROSOFT_AUTHORITY_URL", "GRAPH_URL", "OUTLOOK_WEB_URL", "RELAY_TOKEN_URL"),
)
GOOGLE_DISCOVERY = "https://accounts.google.com/.well-known/openid-configuration"


class ConfigProblem(Exception):
    """A setting the portal cannot start with; the message is meant for the operator."""


class Config(BaseModel):
    """Typed settings. Upper-case names are the environment variables of the same name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    SECRET_KEY: str = Field(min_length=32, repr=False)
    TOKEN_KEYS: dict[str, bytes] = Field(repr=False)
    DATABASE_URL: str = Field(f"sqlite:///{ROOT}/var/sendwright.sqlite3", repr=False)
    REDIS_URL: str = Field("", repr=False)
    PUBLIC_URL: str = "http://127.0.0.1:8000"
    PORT: int = Field(8000, ge=1, le=65535)

    GOOGLE_CLIENT_ID: str = ""
    GOOGLE_CLIENT_SECRET: str = Field("", repr=False)
    GOOGLE_DISCOVERY_URL: str = GOOGLE_DISCOVERY
    GMAIL_API_URL: str = "https://gmail.googleapis.com"
    GMAIL_WEB_URL: str = "https://mail.google.com"
    #: The registration with Microsoft (Entra). Tenant: who may sign in: "organizations" for any
    #: company, "common" for private accounts too, or one company's own id.
    MICROSOFT_CLIENT_ID: str = ""
    MICROSOFT_CLIENT_SECRET: str = Field("", repr=False)
    #: The day on which that client secret ends, like 2027-05-31; empty: unknown.
    MICROSOFT_SECRET_ENDS: date | None = None
    MICROSOFT_TENANT: str = "organizations"
    MICROSOFT_AUTHORITY_URL: str = "https://login.microsoftonline.com"
    GRAPH_URL: str = "https://graph.microsoft.com"
    #: Where people read their mail of Microsoft 365.
    OUTLOOK_WEB_URL: str = "https://outlook.office.com"
    SANDBOX_PORT: int = Field(8025, ge=1, le=65535)
    #: Of the local Microsoft; 0: the next after the local Google's.
    MICROSOFT_SANDBOX_PORT: int = Field(0, ge=0, le=65535)
    #: Of the local mail server; 0: the second after the local Google's.
    POST_SANDBOX_PORT: int = Field(0, ge=0, le=65535)
    #: Of its pages; 0: the fourth after the local Google's.
    POST_SANDBOX_WEB_PORT: int = Field(0, ge=0, le=65535)
    #: Of the local name server; 0: the third after the local Google's.
    DNS_SANDBOX_PORT: int = Field(0, ge=0, le=65535)

    #: Seconds one call to a provider may take, the whole answer included.
    PROVIDER_TIMEOUT: float = Field(30, gt=0, le=120)
    #: Seconds a worker owns what it claimed; reliability asks for at least five provider timeouts.
    LEASE_SECONDS: float = Field(180, gt=0, le=3600)
    #: Seconds to wait before an unclear outcome is looked up (Gmail's own lists lag behind).
    SETTLE_GRACE: float = Field(120, ge=0, le=3600)
    #: Seconds between two rounds of the sweeper.
    SWEEP_SECONDS: float = Field(15, gt=0, le=300)
    #: Seconds between two looks at what has come into a mailbox.
    INBOX_SECONDS: float = Field(60, gt=0, le=3600)
    #: How many workers `make run` starts; 0: as many as this machine has cores, four at most.
    WORKERS: int = Field(0, ge=0, le=16)
    #: What this machine is called among the workers; empty: the host's own name.
    WORKER_NAME: str = ""
    #: Who is asked what the sender domains publish: addresses of name servers, with a port where it
    #: is not 53, between commas. Empty: those that this machine uses. off: nobody.
    DNS_RESOLVER: str = ""
    #: json: each line of the logs is one JSON object; text: lines for people.
    LOG_FORMAT: Literal["json", "text"] = "json"
    #: Who reads /metrics gives it as a bearer token. Empty: only who asks from this very machine.
    METRICS_TOKEN: str = Field("", repr=False)

    #: What Gmail lets one mailbox do. Google counts units a minute, and messages in any 24 hours:
    #: of a company's account (Workspace), or of a person's.
    GMAIL_UNITS_PER_MINUTE: int = Field(6000, ge=100, le=1_000_000)
    GMAIL_DAILY_WORKSPACE: int = Field(2000, ge=1, le=100_000)
    GMAIL_DAILY_CONSUMER: int = Field(500, ge=1, le=100_000)
    #: Recipients in any 24 hours, and how much of a day no batch may take, in percent: what a
    #: person sends leaves on the day of a large batch too.
    GMAIL_RECIPIENTS_WORKSPACE: int = Field(3000, ge=1, le=100_000)
    GMAIL_RECIPIENTS_CONSUMER: int = Field(500, ge=1, le=100_000)
    #: Recipients of one message. The API takes 500, a Workspace mailbox 100 through it: one figure
    #: for both, because mail may leave through another mailbox than was foreseen.
    GMAIL_RECIPIENTS_MESSAGE: int = Field(100, ge=1, le=500)
    GMAIL_DAILY_KEPT: float = Field(5, ge=0, le=50)
    #: Exchange Online: messages a minute, and recipients in any 24 hours.
    MICROSOFT_MESSAGES_PER_MINUTE: int = Field(30, ge=1, le=10_000)
    MICROSOFT_DAILY: int = Field(10_000, ge=1, le=1_000_000)
    #: For so many seconds Exchange may say nothing certain of what was handed to it.
    MICROSOFT_SETTLES: float = Field(60, ge=0, le=3600)
    #: What the portal asks of any other mail server, whose own limits it cannot know.
    SMTP_MESSAGES_PER_MINUTE: int = Field(30, ge=1, le=10_000)
    SMTP_DAILY: int = Field(1000, ge=1, le=1_000_000)
    #: Mail servers in the company's own network that the portal may be connected to: names,
    #: addresses and networks, with a port where it is none of mail's, between commas.
    SMTP_ALLOWED_HOSTS: str = ""
    #: Those of the same kind that are spoken to without encryption.
    SMTP_CLEAR_TEXT_HOSTS: str = ""
    #: Certificate authorities to trust beside the usual ones when a mail server proves who it is.
    SMTP_CA_FILE: Path | None = None
    #: The portal's own relay: smtps://user:password@host, or smtp:// for STARTTLS. Empty: none.
    RELAY_URL: str = Field("", repr=False)
    #: The address that mail leaves from through it.
    RELAY_FROM: str = ""
    #: Where a relay that takes no password gets its access (OAuth's client credentials), with which
    #: id and secret, and for what. Empty: RELAY_URL has the password.
    RELAY_TOKEN_URL: str = ""
    RELAY_CLIENT_ID: str = ""
    RELAY_CLIENT_SECRET: str = Field("", repr=False)
    RELAY_TOKEN_SCOPE: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Self:
        """Read the settings. Raises ConfigProblem naming the variable that is wrong."""
        given = {
            **read_dotenv(dotenv or ROOT / ".env"),
            **(os.environ if environ is None else environ),
        }
        _refuse_misspelt(given)
        known = {name: given[name] for name in cls.model_fields if given.get(name, "") != ""}
        try:
            return cls.model_validate(known)
        except ValidationError as problem:
            raise ConfigProblem(_in_plain_words(problem)) from None

    @field_validator("TOKEN_KEYS", mode="before")
    @classmethod
    def _token_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        keys = [_token_key(part) for part in value.split(",") if part.strip()]
        if len(dict(keys)) < len(keys):
            raise ValueError("has two keys of the same name: one of them could never be used")
        return dict(keys)

    @field_validator("TOKEN_KEYS")
    @classmethod
    def _some_token_key(cls, value: dict[str, bytes]) -> dict[str, bytes]:
        if not value:
            raise ValueError("needs at least one key, written as name:base64")
        return value

    @field_validator("DATABASE_URL")
    @classmethod
    def _database(cls, value: str) -> str:
        _check_port(value)
        if value.startswith("postgresql://"):
            return value.replace("postgresql://", "postgresql+psycopg://", 1)
        if value.startswith(("sqlite:///", "postgresql+psycopg://")):
            return value
        raise ValueError("must start with sqlite:/// or postgresql://")

    @field_validator("REDIS_URL")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        _check_port(value)
        return value

    @field_validator("WORKER_NAME")
    @classmethod
    def _worker_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,60}", value):
            raise ValueError("must be at most 60 letters, figures, dots and dashes")
        return value

    @field_validator("MICROSOFT_SECRET_ENDS", mode="before")
    @classmethod
    def _a_day(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return date.fromisoformat(value) if value else None
        except ValueError:
            raise ValueError("must be a day like 2027-05-31") from None

    @field_validator("MICROSOFT_TENANT")
    @classmethod
    def _tenant(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,100}", value):
            raise ValueError("must be organizations, common, or a company's tenant id or domain")
        return value

    @field_validator("DNS_RESOLVER")
    @classmethod
    def _resolver(cls, value: str) -> str:
        if value != "off":
            for part in value.split(",") if value else ():
                _server(part)
        return value

    @field_validator("SMTP_ALLOWED_HOSTS", "SMTP_CLEAR_TEXT_HOSTS")
    @classmethod
    def _hosts(cls, value: str) -> str:
        hosts.entries(value)
        return value

    @field_validator("SMTP_CA_FILE")
    @classmethod
    def _authorities(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("must be a file of certificates in PEM, and there is none")
        return value

    @field_validator("RELAY_URL")
    @classmethod
    def _relay(cls, value: str) -> str:
        _check_port(value)
        parts = urlsplit(value)
        if value and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("must be like smtps://user:password@mail.example.com:465")
        return value

    @field_validator("RELAY_FROM")
    @classmethod
    def _relay_from(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", value):
            raise ValueError("must be one whole e-mail address")
        return value.lower()

    @field_validator("METRICS_TOKEN")
    @classmethod
    def _metrics_token(cls, value: str) -> str:
        if value and not re.fullmatch(r"[!-~]{16,200}", value):
            raise ValueError("must be at least 16 letters and figures, without spaces")
        return value

    @field_validator("PUBLIC_URL", *PROVIDER_URLS)
    @classmethod
    def _address(cls, value: str) -> str:
        _check_port(value)
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and parts.hostname
        if not whole or parts.username or parts.query or parts.fragment:
            raise ValueError("must be a whole web address such as https://portal.example.com")
        return urlunsplit(parts).rstrip("/")

    @field_validator(*PROVIDER_URLS)
    @classmethod
    def _no_secret_in_clear(cls, value: str) -> str:
        # Tokens travel there. PUBLIC_URL may be plain: a portal may serve one building alone.
        if not value.startswith("https://") and not _is_loopback(urlsplit(value).hostname or ""):
            raise ValueError("must begin with https://, unless it is on this machine (127.0.0.1)")
        return value

    @model_validator(mode="after")
    def _lease_outlives_calls(self) -> Self:
        # A claim that runs out while the provider is still answering could be taken twice.
        if self.LEASE_SECONDS < 5 * self.PROVIDER_TIMEOUT:
            raise ValueError("LEASE_SECONDS must be at least five times PROVIDER_TIMEOUT")
        return self

    @model_validator(mode="after")
    def _relay_has_a_from(self) -> Self:
        if self.RELAY_URL and not self.RELAY_FROM:
            raise ValueError("RELAY_FROM must name the address that mail of RELAY_URL leaves from")
        return self

    @model_validator(mode="after")
    def _relay_with_a_token(self) -> Self:
        if not self.RELAY_TOKEN_URL:
            return self
        parts = urlsplit(self.RELAY_URL)
        if not parts.username or parts.password is not None:
            raise ValueError(
                "RELAY_URL must have a user and no password where RELAY_TOKEN_URL is set, "
                "like smtp://office%40example.com@smtp.office365.com"
            )
        if not (self.RELAY_CLIENT_ID and self.RELAY_CLIENT_SECRET):
            raise ValueError("RELAY_TOKEN_URL needs RELAY_CLIENT_ID and RELAY_CLIENT_SECRET")
        return self

    @property
    def is_local_google(self) -> bool:
        """Whether the provider is the local Google rather than Google itself."""
        return _is_loopback(urlsplit(self.GOOGLE_DISCOVERY_URL).hostname or "")

    @property
    def is_local_microsoft(self) -> bool:
        """Whether the provider is the local Microsoft rather than Microsoft itself."""
        return _is_loopback(urlsplit(self.MICROSOFT_AUTHORITY_URL).hostname or "")

    @property
    def dns_servers(self) -> list[tuple[str, int]]:
        """The name servers of DNS_RESOLVER, address and port; none: those of this machine."""
        named = self.DNS_RESOLVER and self.DNS_RESOLVER != "off"
        return [_server(part) for part in self.DNS_RESOLVER.split(",")] if named else []

    @property
    def counters(self) -> str:
        """Where tries are counted: in Redis for all processes together, else in each its own."""
        if self.REDIS_URL.startswith("unix://"):
            return f"redis+{self.REDIS_URL}"
        return self.REDIS_URL or "memory://"

    @property
    def is_https(self) -> bool:
        return self.PUBLIC_URL.startswith("https://")

    def flask_settings(self) -> dict[str, Any]:
        """What Flask and its extensions read from app.config."""
        return {
            "SECRET_KEY": self.SECRET_KEY,
            "SQLALCHEMY_DATABASE_URI": self.DATABASE_URL,
            "SESSION_COOKIE_NAME": "__Host-sendwright" if self.is_https else "sendwright",
            "SESSION_COOKIE_SECURE": self.is_https,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "PERMANENT_SESSION_LIFETIME": 12 * 3600,
            # Else every answer bears the cookie, even those that any cache may keep.
            "SESSION_REFRESH_EACH_REQUEST": False,
            "WTF_CSRF_TIME_LIMIT": None,
            "WTF_CSRF_SSL_STRICT": False,
            "MAX_CONTENT_LENGTH": 30 * 1024 * 1024,
            "MAX_FORM_MEMORY_SIZE": 2 * 1024 * 1024,
            "RATELIMIT_STORAGE_URI": self.counters,
            "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
            "PORTAL": self,
        }


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a .env file, or nothing when there is none."""
    if not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _check_port(address: str) -> None:
    try:
        _ = urlsplit(address).port
    except ValueError:
        raise ValueError("has a port or host that cannot be read") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server(part: str) -> tuple[str, int]:
    """192.0.2.1, 192.0.2.1:5353, 2001:db8::1 or [2001:db8::1]:5353, taken apart."""
    text = part.strip()
    if text.count(":") == 1 or "]:" in text:
        host, _, port = text.rpartition(":")
    else:
        host, port = text, "53"
    try:
        address, number = ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise ValueError("must be off, or name servers such as 192.168.1.1 or 127.0.0.1:5353")
    return str(address), number


def _token_key(part: str) -> tuple[str, bytes]:
    name, separator, encoded = part.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not separator or not TOKEN_KEY_NAME.fullmatch(name) or len(key) != 32:
        raise ValueError("needs each key written as name:base64 of 32 bytes, separated by commas")
    return name, key


def _refuse_misspelt(given: Mapping[str, str]) -> None:
    """Stop at a variable that is almost one of ours: its value would silently not count."""
    for name in given:
        if name in Config.model_fields:
            continue
        near = difflib.get_close_matches(name, Config.model_fields, n=1, cutoff=0.88)
        if near and near[0] not in given:
            raise ConfigProblem(f"{name} is not a setting. Did you mean {near[0]}?")


def _in_plain_words(problem: ValidationError) -> str:
    lines = []
    for error in problem.errors():
        said = error["msg"].removeprefix("Value error, ")
        if not error["loc"]:
            lines.append(f"{said}.")
        elif error["type"] == "missing":
            lines.append(f"{error['loc'][0]} is not set.")
        else:
            lines.append(f"{error['loc'][0]} {said[0].lower()}{said[1:]}.")
    return " ".join(lines)
