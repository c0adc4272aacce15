"""Receiving: the servers that take a domain's mail in, by its MX records."""

from portal.published.asking import Ask
from portal.published.names import RESERVED, BadDomain, to_ascii


def servers_of(ask: Ask, domain: str, seconds: float) -> tuple[str, ...]:
    """Their names; none where there are none, or nobody answered in time."""
    try:
        name = to_ascii(domain)
    except BadDomain:
        return ()
    if name.rpartition(".")[2] in RESERVED:
        return ()
    return ask((name, "MX"), seconds).values
