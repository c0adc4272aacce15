"""Hosts: which mail servers the portal may be connected to, wherever their name leads.

Whoever names a server makes the portal open a connection. So every address behind the name must be
one of the open Internet, or one that the operator allowed, and the port one of mail's: judged when
it is saved, and again at each connection, which goes to the very address that was judged.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Where mail is handed in: with TLS from the first byte, with STARTTLS, and the usual way round a
#: network that shuts the two (RFC 8314, RFC 6409).
PORTS = (465, 587, 2525)
#: A relay may listen where servers talk among themselves.
RELAY_PORTS = (25, *PORTS)
#: Where what came in is read: with TLS from the first byte, and with STARTTLS (RFC 8314, RFC 3501).
READING_PORTS = (993, 143)
LONGEST_NAME = 253

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
#: Addresses that carry an IPv4 address, and where in them it stands (RFC 6052, 3056).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")
#: The one part of IPv6 that is given out to the open Internet (RFC 4291).
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
#: What Python's own list knows in some versions only: tunnels, documentation, 6to4's relays.
_NOT_OPEN: tuple[Network, ...] = (
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("2001:db8::/32"),
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv4Network("100.64.0.0/10"),
)


class Forbidden(Exception):
    """The portal may not be connected there."""


@dataclass(frozen=True)
class Entry:
    """One entry of an operator's list: a name, or a network of one address or more.

    port: the one it is for; None for every port that mail is handed in at, or read.
    """

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int, ip: Ip | None) -> bool:
        """Whether it speaks of this host, by its name or by the address it was found at."""
        usual = port in RELAY_PORTS or port in READING_PORTS
        if port != self.port and (self.port is not None or not usual):
            return False
        if self.network is None:
            return plain(host) == self.name
        return ip is not None and ip.version == self.network.version and ip in self.network


def plain(host: str) -> str:
    """A host's name in the one way of writing it that is compared."""
    return host.strip().strip("[]").rstrip(".").lower()


def is_name(host: str) -> bool:
    """Whether it could be the name or the address of a host."""
    return ip_of(host) is not None or bool(len(host) <= LONGEST_NAME and _NAME.fullmatch(host))


def ip_of(host: str) -> Ip | None:
    """The address that a host's name is itself; None where it is a name."""
    try:
        return ipaddress.ip_address(plain(host))
    except ValueError:
        return None


def entries(text: str) -> tuple[Entry, ...]:
    """An operator's list, between commas. Raises ValueError with what an entry may be."""
    return tuple(_entry(part.strip()) for part in text.split(",") if part.strip())


def _entry(text: str) -> Entry:
    host, port = _split(text)
    try:
        return Entry(network=ipaddress.ip_network(host.strip("[]"), strict=False), port=port)
    except ValueError:
        if not _NAME.fullmatch(host) or "/" in host:
            wrong = f"has {text[:60]!r}, which is no host, address or network"
            raise ValueError(f"{wrong}; write it like mail.office.lan, 10.0.0.0/24:25") from None
    return Entry(name=plain(host), port=port)


def _split(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    one = text.count(":") == 1 or host.endswith("]") or host.rpartition("]:")[0] != ""
    if not colon or not one or not port.isdecimal():
        return text, None
    if not 0 < int(port) < 65536:
        raise ValueError(f"has the port {port}, which cannot be")
    return host, int(port)


# -- judging, pure ---------------------------------------------------------------------------------


def is_open(ip: Ip) -> bool:
    """Whether an address is one of the open Internet, and none of a network of its own."""
    inner = carried(ip)
    if inner is not None:
        return is_open(inner)
    if isinstance(ip, ipaddress.IPv6Address) and (ip.scope_id or ip not in _GIVEN_OUT):
        return False
    if any(ip in network for network in _NOT_OPEN if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def carried(ip: Ip) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one, by whichever way it would be reached."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour if ip in _6TO4 else None


def may_connect(
    host: str,
    port: int,
    ip: Ip,
    allowed: Iterable[Entry] = (),
    ports: Sequence[int] = PORTS,
) -> bool:
    """Whether the portal may be connected to an address that a host was found at.

    ports: those that are usual for what is to be done there.
    """
    inner = carried(ip) or ip
    if any(one.covers(host, port, inner) for one in allowed):
        return True
    return port in ports and is_open(ip)


# -- connecting ------------------------------------------------------------------------------------


def look_up(host: str, port: int) -> list[Ip]:
    """All addresses of a host, in the order in which to try them. Raises OSError."""
    own = ip_of(host)
    if own is not None:
        return [own]
    found = socket.getaddrinfo(plain(host), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0])) for one in found))


def judged(
    host: str, port: int, allowed: Sequence[Entry] = (), ports: Sequence[int] = PORTS
) -> list[Ip]:
    """The addresses of a host, if all of them may be connected to.

    Raises Forbidden, and OSError where the name leads nowhere. One forbidden address forbids the
    host: a name that leads to both may lead elsewhere the next moment.
    """
    found = look_up(host, port)
    wrong = [ip for ip in found if not may_connect(host, port, ip, allowed, ports)]
    if wrong or not found:
        raise Forbidden(f"{host} port {port}")
    return found


def connect(
    host: str,
    port: int,
    allowed: Sequence[Entry] | None,
    seconds: float,
    ports: Sequence[int] = PORTS,
) -> socket.socket:
    """A connection to a host that may be connected to; allowed None: the operator named it.

    Raises Forbidden, or the OSError of the last address that was tried.
    """
    found = look_up(host, port) if allowed is None else judged(host, port, allowed, ports)
    for ip in found[:-1]:
        try:
            return _connected(ip, port, seconds / len(found))
        except OSError:
            continue
    if not found:
        raise OSError("the name has no address")
    return _connected(found[-1], port, seconds / len(found))


def _connected(ip: Ip, port: int, seconds: float) -> socket.socket:
    made = socket.create_connection((str(ip), port), timeout=seconds)
    # The last bytes of a message must not wait for an acknowledgement of the others.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
