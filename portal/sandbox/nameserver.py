"""A local name server: answers for made-up domains over UDP and TCP, and fails as real ones do.

It is told its records as text, the way a zone file has them; what it does not know does not exist.
`python -m portal.sandbox.nameserver --port 8028` starts one for the demo company.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

#: What a name may do instead of answering: nothing at all, or an error.
SILENT, SERVFAIL, REFUSED, GARBAGE = "SILENT", "SERVFAIL", "REFUSED", "GARBAGE"
FAULTS = (SILENT, SERVFAIL, REFUSED, GARBAGE)
#: The largest answer over UDP when the client names no other size.
SMALL = 512

#: By name and type, each record as a zone file writes it: {"a.example TXT": ['"v=spf1 -all"']}.
#: A fault's name in the place of records makes all questions about that name fail so.
Zone = Mapping[str, Iterable[str]]

#: Public keys that nobody has the other half of: of today's length, and of one that was usual once.
LONG_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2Nd+ZH436AR+PtQSBdNq3Wb0WVutYuuc2jdF0DYR"
    "x4SU/vT3uAouTuqeXvZE31xUxCvWZ++kYhURpevW4kcs1qPmNXR62SomJ93qNQ97oXud/98L9mPRlHcxYzw6"
    "ZcdYPwmB/JDmDIxRolSh0UNz4uT71tKeJVmOBJ3vDqS0FwM1L/EN/eq055DOE8CyXbFdYgaDELetG2ngwjlc"
    "yis7ie6WhVixw/ReP/kzACp64NX7WaQ0QbQXQEN4rYwsOKBjW7IoQJpAs6rBzUMW57yHQ9eF5Z1TazzInvlZ"
    "9y0eiKhIPNLxXclKQdYsAB8lf1b7+JuAc8M0X/wLSY1JBG2RcwIDAQAB"
)
SHORT_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCsoRZyRSHI2awefqWk4XryrlDVUhM4S+BFCj1ltWVwZY59"
    "ZCYHIuSGxyfdbRIzQESzZH/lp/L9Nob1zctvKy0TtWA0HuQ2a9N4BGBiE/dTDpAlApt4mOPA9EJlR2U9v9bG"
    "5PZqjnN9TG1SepRa+au/HsSsXjjppvCoUBMUuIqeDwIDAQAB"
)


def _key(public: str) -> list[str]:
    """A DKIM key as a zone file writes it: no piece of a text may be longer than 255 letters."""
    text = f"v=DKIM1; k=rsa; p={public}"
    return [" ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))]


#: Whose mail the demo company's customers and suppliers have: each domain takes mail.
CUSTOMERS = (
    *("homes.example", "baystreet.example", "hunter.example", "pier.example", "gym.example"),
    *("erina.example", "terrigal.example", "gosford-school.example"),
)

#: The demo company's domain lets Google send for it and has yet to say what becomes of forgeries.
#: Its supplier lets Microsoft alone; a third has more than one record where one may be, and an old
#: key.
DEMO: Zone = {
    "brightspark.example MX": ["1 smtp.google.com."],
    "brightspark.example TXT": [
        '"v=spf1 include:_spf.google.com ~all"',
        '"google-site-verification=made-up-for-the-demo"',
    ],
    "google._domainkey.brightspark.example TXT": _key(LONG_KEY),
    "copperco.example MX": ["0 copperco-example.mail.protection.outlook.com."],
    "copperco.example TXT": ['"v=spf1 include:spf.protection.outlook.com -all"'],
    "selector1._domainkey.copperco.example CNAME": [
        "selector1-copperco-example._domainkey.copperco.onmicrosoft.com."
    ],
    "selector1-copperco-example._domainkey.copperco.onmicrosoft.com TXT": _key(LONG_KEY),
    "_dmarc.copperco.example TXT": ['"v=DMARC1; p=reject; rua=mailto:it@copperco.example"'],
    "elsewhere.example MX": ["10 mail.elsewhere.example."],
    "elsewhere.example TXT": [
        '"v=spf1 include:_spf.google.com ~all"',
        '"v=spf1 mx a:mail.elsewhere.example -all"',
    ],
    "google._domainkey.elsewhere.example TXT": _key(SHORT_KEY),
    "_dmarc.elsewhere.example TXT": ['"v=DMARC1; p=none"'],
    "_spf.google.com TXT": [
        '"v=spf1 ip4:74.125.0.0/16 ip4:209.85.128.0/17 ip6:2607:f8b0:4000::/36 ~all"'
    ],
    "spf.protection.outlook.com TXT": ['"v=spf1 ip4:40.92.0.0/15 ip4:52.100.0.0/14 -all"'],
    **{f"{one} MX": [f"10 mail.{one}."] for one in CUSTOMERS},
}


class NameServer:
    """Runs within a `with`. address: "127.0.0.1:port"; asked: the questions so far."""

    def __init__(self, zone: Zone = DEMO, port: int = 0) -> None:
        self.zone: dict[str, list[str]] = {key: list(values) for key, values in zone.items()}
        self.asked: list[str] = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", port))
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind(self._udp.getsockname())
        self._tcp.listen()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="name server", daemon=True)

    @property
    def address(self) -> str:
        host, port = self._udp.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select([self._udp, self._tcp], [], [], 0.05)
            with contextlib.suppress(OSError, struct.error, dns.exception.DNSException):
                if self._udp in ready:
                    self._by_datagram()
                if self._tcp in ready:
                    self._by_stream()

    def _by_datagram(self) -> None:
        packet, sender = self._udp.recvfrom(65535)
        question = dns.message.from_wire(packet)
        answer = self._answer(question)
        if answer is None:
            return
        wire = answer if isinstance(answer, bytes) else answer.to_wire(max_size=65535)
        if not isinstance(answer, bytes) and len(wire) > max(question.payload, SMALL):
            short = dns.message.make_response(question)
            short.flags |= dns.flags.TC | dns.flags.RA
            wire = short.to_wire()
        self._udp.sendto(wire, sender)

    def _by_stream(self) -> None:
        connection, _ = self._tcp.accept()
        with connection:
            connection.settimeout(1)
            (length,) = struct.unpack("!H", connection.recv(2))
            answer = self._answer(dns.message.from_wire(connection.recv(length)))
            if isinstance(answer, dns.message.Message):
                wire = answer.to_wire(max_size=65535)
                connection.sendall(struct.pack("!H", len(wire)) + wire)

    def _answer(self, question: dns.message.Message) -> dns.message.Message | bytes | None:
        """The answer; None for silence, bytes for what is no answer."""
        asked = question.question[0]
        name, kind = asked.name, dns.rdatatype.to_text(asked.rdtype)
        self.asked.append(f"{_text(name)} {kind}")
        fault = next((one for one in self._records(name, kind) if one in FAULTS), "")
        if fault == SILENT:
            return None
        if fault == GARBAGE:
            return b"\x00" * 5
        made = dns.message.make_response(question)
        made.flags |= dns.flags.RA
        if fault:
            made.set_rcode(dns.rcode.from_text(fault))
            return made
        for rrset in self._chain(name, kind):
            made.answer.append(rrset)
        last = _last(made, name)
        if not made.answer or made.answer[-1].rdtype == dns.rdatatype.CNAME:
            made.set_rcode(dns.rcode.NOERROR if self._is_there(last) else dns.rcode.NXDOMAIN)
        return made

    def _records(self, name: dns.name.Name, kind: str) -> list[str]:
        return self.zone.get(f"{_text(name)} {kind}", [])

    def _chain(self, name: dns.name.Name, kind: str) -> Iterator[dns.rrset.RRset]:
        """The records, with the names they are forwarded to before them."""
        seen: set[dns.name.Name] = set()
        while name not in seen:
            seen.add(name)
            if records := self._records(name, kind):
                yield dns.rrset.from_text_list(name, 60, "IN", kind, records)
                return
            forwards = self._records(name, "CNAME")
            if not forwards or kind == "CNAME":
                return
            yield dns.rrset.from_text_list(name, 60, "IN", "CNAME", forwards)
            name = dns.name.from_text(forwards[0])

    def _is_there(self, name: dns.name.Name) -> bool:
        text = _text(name)
        names = {key.partition(" ")[0] for key in self.zone}
        return any(one == text or one.endswith(f".{text}") for one in names)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _last(answer: dns.message.Message, name: dns.name.Name) -> dns.name.Name:
    """Where the chain of forwardings ends."""
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            name = rrset[0].target
    return name


def main() -> None:
    port = int(os.environ.get("DNS_SANDBOX_PORT") or 8028)
    parser = argparse.ArgumentParser(prog="python -m portal.sandbox.nameserver")
    parser.add_argument("--port", type=int, default=port)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with NameServer(port=parser.parse_args().port) as server:
        print(f"Local name server on {server.address}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
