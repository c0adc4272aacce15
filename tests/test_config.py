"""A bad setting stops the start, and the sentence names the variable."""

import os
from pathlib import Path

import pytest

from portal.config import GOOGLE_DISCOVERY, Config, ConfigProblem
from tests.servers import SECRET_KEY, TOKEN_KEYS

NEEDED = {"SECRET_KEY": SECRET_KEY, "TOKEN_KEYS": TOKEN_KEYS}
KEY = TOKEN_KEYS.partition(":")[2]
NOWHERE = Path(os.devnull)
BAD = {
    "SECRET_KEY": ["short"],
    "TOKEN_KEYS": [
        "no-colon",
        "k1:not base64!",
        "k1:c2hvcnQ=",
        f"k-1:{KEY}",
        f":{KEY}",
        f"ключ:{KEY}",
        f"{'k' * 33}:{KEY}",
        f"k1:{KEY},k1:{KEY}",
        ",",
    ],
    "DATABASE_URL": ["mysql://x/y", "sendwright.db", "postgresql://host:port/x", "sqlite://"],
    "REDIS_URL": ["http://127.0.0.1", "127.0.0.1:6379", "redis://host:many/0", "redis://h:99999"],
    "PUBLIC_URL": [
        "portal.example.com",
        "ftp://portal.example.com",
        "https://",
        "https://[::1",
        "https://portal.example.com:many",
        "https://me:secret@portal.example.com",
        "https://portal.example.com/?a=b",
        "https://portal.example.com/#top",
    ],
    "GMAIL_API_URL": ["gmail.googleapis.com", "http://x:0x50", "http://gmail.googleapis.com"],
    "GMAIL_WEB_URL": ["mail.google.com", "http://mail.google.com"],
    "GOOGLE_DISCOVERY_URL": [
        "accounts.google.com",
        "http://accounts.google.com/.well-known/openid-configuration",
        "http://127.0.0.1.example.com",
        "http://192.168.1.5",
    ],
    "PORT": ["0", "65536", "eight", "80.5", "-1"],
    "SANDBOX_PORT": ["0", "x"],
    "MICROSOFT_SANDBOX_PORT": ["-1", "65536", "x"],
    "POST_SANDBOX_PORT": ["-1", "65536", "x"],
    "POST_SANDBOX_WEB_PORT": ["-1", "65536", "x"],
    "DNS_SANDBOX_PORT": ["-1", "65536", "x"],
    "PROVIDER_TIMEOUT": ["0", "-1", "121", "nan", "inf", "soon"],
    "LEASE_SECONDS": ["0", "3601", "nan", "long"],
    "SETTLE_GRACE": ["-1", "3601", "x"],
    "SWEEP_SECONDS": ["0", "301", "x"],
    "INBOX_SECONDS": ["0", "3601", "x"],
    "WORKERS": ["-1", "17", "x"],
    "WORKER_NAME": ["the van", "a" * 61, "a/b"],
    "LOG_FORMAT": ["xml", "JSON"],
    "DNS_RESOLVER": ["none", "1.1.1.1:0", "dns.example.com", "1.1.1.1,", "[::1]:x"],
    "METRICS_TOKEN": ["short", "with a space in the middle of it"],
    "GMAIL_UNITS_PER_MINUTE": ["99", "1000001", "many"],
    "GMAIL_DAILY_WORKSPACE": ["0", "100001", "x"],
    "GMAIL_DAILY_CONSUMER": ["0", "100001", "x"],
    "GMAIL_RECIPIENTS_WORKSPACE": ["0", "100001", "x"],
    "GMAIL_RECIPIENTS_CONSUMER": ["0", "100001", "x"],
    "GMAIL_RECIPIENTS_MESSAGE": ["0", "501", "x"],
    "GMAIL_DAILY_KEPT": ["-1", "51", "some"],
    "MICROSOFT_TENANT": ["our company", "a/b"],
    "MICROSOFT_SECRET_ENDS": ["soon", "2026-13-01"],
    "MICROSOFT_AUTHORITY_URL": ["login.microsoftonline.com", "http://login.microsoftonline.com"],
    "GRAPH_URL": ["graph.microsoft.com", "http://graph.microsoft.com"],
    "MICROSOFT_MESSAGES_PER_MINUTE": ["0", "10001", "x"],
    "MICROSOFT_DAILY": ["0", "1000001", "x"],
    "MICROSOFT_SETTLES": ["-1", "3601", "soon"],
    "OUTLOOK_WEB_URL": ["outlook.office.com", "http://outlook.office.com"],
    "SMTP_MESSAGES_PER_MINUTE": ["0", "10001", "x"],
    "SMTP_DAILY": ["0", "1000001", "x"],
    "SMTP_ALLOWED_HOSTS": ["smtp://mail.lan", "10.0.0.0/99", "mail.lan:0"],
    "SMTP_CLEAR_TEXT_HOSTS": ["two words"],
    "SMTP_CA_FILE": ["/nowhere/authorities.pem"],
    "RELAY_URL": ["mail.example.com", "https://mail.example.com", "smtp://", "smtp://mail:x"],
    "RELAY_TOKEN_URL": ["login.example.com", "http://login.example.com/token"],
    "RELAY_FROM": ["brightspark.example", "office@brightspark.example,tom@brightspark.example"],
}


def read(**given: str) -> Config:
    return Config.from_env(NEEDED | given, dotenv=NOWHERE)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_a_bad_value_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigProblem, match=rf"^{name} .*\.$") as problem:
        read(**{name: value})
    if name in ("SECRET_KEY", "TOKEN_KEYS"):
        assert value.strip(",") == "" or value not in str(problem.value)


def test_every_checked_variable_is_tried_here() -> None:
    unchecked = {"GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"}
    unchecked |= {"MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET"}
    unchecked |= {"RELAY_CLIENT_ID", "RELAY_CLIENT_SECRET", "RELAY_TOKEN_SCOPE"}
    assert set(BAD) == set(Config.model_fields) - unchecked


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_and_missing_is_named(name: str) -> None:
    rest = {key: value for key, value in NEEDED.items() if key != name}
    for given in (rest, rest | {name: ""}):
        with pytest.raises(ConfigProblem, match=f"{name} is not set"):
            Config.from_env(given, dotenv=NOWHERE)


@pytest.mark.parametrize("name", ["DATABSE_URL", "REDIS_URI", "PUBLIC_URLS", "TOKEN_KEY"])
def test_a_misspelt_variable_stops_the_start(name: str) -> None:
    given = {key: value for key, value in NEEDED.items() if not key.startswith(name)}
    with pytest.raises(ConfigProblem, match=f"{name} is not a setting. Did you mean"):
        Config.from_env(given | {name: "x"}, dotenv=NOWHERE)


def test_other_programs_variables_are_left_alone() -> None:
    assert read(PATH="/bin", LANG="C", SUPPORT="x", DATABASE="y").PORT == 8000


def test_a_lease_must_outlive_five_calls() -> None:
    with pytest.raises(ConfigProblem, match="LEASE_SECONDS must be at least five times"):
        read(PROVIDER_TIMEOUT="37")
    assert read(PROVIDER_TIMEOUT="36").LEASE_SECONDS == 180


def test_a_relay_that_takes_tokens_says_who_and_has_no_password_beside_them() -> None:
    named = {"RELAY_FROM": "post@brightspark.example", "RELAY_TOKEN_URL": "https://a.example/token"}
    client = {"RELAY_CLIENT_ID": "portal", "RELAY_CLIENT_SECRET": "hush"}
    for url in ("", "smtps://out.example", "smtps://me:secret@out.example"):
        with pytest.raises(ConfigProblem, match="a user and no password"):
            read(RELAY_URL=url, **named, **client)
    with pytest.raises(ConfigProblem, match="needs RELAY_CLIENT_ID"):
        read(RELAY_URL="smtps://me@out.example", **named)
    assert read(RELAY_URL="smtps://me@out.example", **named, **client).RELAY_TOKEN_URL


def test_the_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"SECRET_KEY='{SECRET_KEY}'\nTOKEN_KEYS={TOKEN_KEYS}\nPORT=9001\n# x\n")
    assert Config.from_env({}, dotenv=dotenv).PORT == 9001
    assert Config.from_env({"PORT": "9002"}, dotenv=dotenv).PORT == 9002
    dotenv.write_text(dotenv.read_text() + "SANDBOX_PROT=1\n")
    with pytest.raises(ConfigProblem, match="SANDBOX_PROT"):
        Config.from_env({}, dotenv=dotenv)
    with pytest.raises(ConfigProblem, match="SECRET_KEY"):
        Config.from_env({}, dotenv=tmp_path / "none")


def test_left_alone_it_speaks_to_google_itself() -> None:
    config = read()
    assert config.GOOGLE_DISCOVERY_URL == GOOGLE_DISCOVERY
    assert config.GMAIL_API_URL == "https://gmail.googleapis.com"
    assert not config.is_local_google
    assert read(GOOGLE_DISCOVERY_URL="http://127.0.0.1:8025/x").is_local_google


def test_only_on_this_machine_does_a_token_travel_unsealed() -> None:
    with pytest.raises(ConfigProblem, match=r"^GMAIL_API_URL must begin with https://"):
        read(GMAIL_API_URL="http://gmail.googleapis.com")
    for host in ("127.0.0.1:8025", "127.1.2.3", "localhost:8025", "[::1]:8025"):
        assert f"http://{host}" == read(GMAIL_API_URL=f"http://{host}").GMAIL_API_URL
    assert read(PUBLIC_URL="http://192.168.1.5:8000").PUBLIC_URL.startswith("http://")


def test_over_https_the_session_cookie_is_for_https_alone() -> None:
    for address in ("https://portal.example.com/", "HTTPS://portal.example.com"):
        config = read(PUBLIC_URL=address)
        assert config.PUBLIC_URL == "https://portal.example.com"
        assert config.flask_settings()["SESSION_COOKIE_SECURE"] is True
    assert read().flask_settings()["SESSION_COOKIE_SECURE"] is False


def test_a_postgresql_address_gets_its_driver() -> None:
    assert read(DATABASE_URL="postgresql://h/db").DATABASE_URL == "postgresql+psycopg://h/db"


def test_name_servers_are_taken_apart() -> None:
    written = "192.168.1.1, 127.0.0.1:5353,2001:db8::1,[::1],[::1]:54"
    assert read(DNS_RESOLVER=written).dns_servers == [
        ("192.168.1.1", 53),
        ("127.0.0.1", 5353),
        ("2001:db8::1", 53),
        ("::1", 53),
        ("::1", 54),
    ]
    assert read(DNS_RESOLVER="off").dns_servers == read().dns_servers == []


def test_a_config_that_is_printed_tells_no_secret() -> None:
    config = read(
        GOOGLE_CLIENT_SECRET="the-client-secret",
        DATABASE_URL="postgresql://me:the-password@h/db",
        REDIS_URL="redis://:the-password@h/0",
    )
    for secret in (SECRET_KEY, "the-client-secret", "the-password", repr(bytes(range(32)))):
        assert secret not in repr(config) + str(config)
