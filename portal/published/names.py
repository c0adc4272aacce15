"""Names of domains: how one is written in the DNS and on a page, and whose it is. Pure."""

import re

import idna

from portal.published.answers import plain_name

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: Names that nobody can register (RFC 2606, RFC 6761); the demo company uses one.
RESERVED = ("example", "test", "invalid", "localhost", "local", "internal")
RESERVED_WHOLE = ("example.com", "example.net", "example.org")

#: Domains at which everybody may have an address, by who looks after their records.
CONSUMER = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": (
        *("outlook.com", "outlook.com.au", "hotmail.com", "hotmail.com.au", "live.com"),
        *("live.com.au", "hotmail.co.uk", "live.co.uk", "outlook.co.nz", "msn.com"),
    ),
    "Yahoo": ("yahoo.com", "yahoo.com.au", "yahoo.co.uk", "yahoo.co.nz", "ymail.com"),
    "Apple": ("icloud.com", "me.com", "mac.com"),
    "AOL": ("aol.com", "aim.com"),
    "Proton": ("proton.me", "protonmail.com", "pm.me"),
    "Fastmail": ("fastmail.com", "fastmail.fm"),
    "GMX": ("gmx.com", "gmx.net", "gmx.de", "gmx.at"),
    "Telstra": ("bigpond.com", "bigpond.net.au", "telstra.com"),
    "Optus": ("optusnet.com.au", "optusnet.com"),
    "Spark": ("xtra.co.nz",),
    "BT": ("btinternet.com",),
}
OWNER_OF = {name: owner for owner, names in CONSUMER.items() for name in names}


class BadDomain(ValueError):
    """What was given is no domain; the message says what to write instead."""


def to_ascii(domain: str) -> str:
    """The name as the DNS has it: lower case, no last dot, umlauts encoded. Raises BadDomain."""
    name = plain_name(domain)
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:  # idna's own error is one of these
            name = ""
    if not is_domain(name):
        raise BadDomain("Write a whole domain such as brightspark.com.au.")
    return name


def shown(domain: str) -> str:
    """The name as people write it: its umlauts back, where they can be read."""
    try:
        return idna.decode(domain) if "xn--" in domain else domain
    except UnicodeError:
        return domain


def is_domain(name: str) -> bool:
    """Whether it is a name that mail can come from: two labels or more, in ASCII."""
    labels = name.split(".")
    return len(labels) >= 2 and is_host(name) and not labels[-1].isdigit()


def is_host(name: str) -> bool:
    """Whether the DNS can be asked for it at all."""
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in name.lower().split("."))


def domain_of(email: str) -> str:
    """The domain of an address, as the DNS has it; empty where there is none."""
    try:
        return to_ascii(email.rpartition("@")[2])
    except BadDomain:
        return ""


def is_reserved(domain: str) -> bool:
    """Whether the name is only for trying out, so that no DNS knows it."""
    return domain.rpartition(".")[2] in RESERVED or domain in RESERVED_WHOLE


def owner_of(domain: str) -> str:
    """Who looks after a domain at which everybody may have an address; empty for any other."""
    return OWNER_OF.get(domain, "")


def is_within(domain: str, other: str) -> bool:
    """Whether a domain is the other one, or lies under it."""
    return domain == other or domain.endswith(f".{other}")
