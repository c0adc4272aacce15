"""Postfix's own smtp-sink: a server that nobody here wrote, accepting, refusing, hanging up.

It is there where Debian's postfix is installed, or was unpacked by make bench; elsewhere these are
skipped. The same answers come from the local mail server in tests/contract, on every machine.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal import mailboxes, relay
from portal.envelope import OutcomeUnknown, ProviderAnswer, Refused, TryLater
from portal.providers.provider import Provider
from tests import servers
from tests.bench.postfix import UNPACKED
from tests.factories import MARY, OFFICE
from tests.test_launch import free_ports

MAIL = f"From: {OFFICE}\r\nTo: {MARY}\r\nSubject: INV-0042\r\n\r\n.It begins with a dot.\r\n"
SYSTEM = "/usr/sbin:/usr/local/sbin"
SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:{SYSTEM}") or shutil.which(
    "smtp-sink", path=str(UNPACKED / "usr/sbin")
)
pytestmark = pytest.mark.skipif(SINK is None, reason="Postfix's smtp-sink is not here")


@contextmanager
def the_relay(database: str, home: Path, *asked: str) -> Iterator[Provider]:
    """The portal's relay, which is an smtp-sink that was asked to do something."""
    (port,) = free_ports(1)
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    command = [str(SINK), *user, *asked, f"127.0.0.1:{port}", "16"]
    environ = {"PATH": SYSTEM, "LD_LIBRARY_PATH": str(UNPACKED / "usr/lib/postfix")}
    here = f"127.0.0.1:{port}"
    told = {"SMTP_ALLOWED_HOSTS": here, "SMTP_CLEAR_TEXT_HOSTS": here, "PROVIDER_TIMEOUT": "2"}
    told |= {"RELAY_URL": f"smtp://{here}?clear", "RELAY_FROM": OFFICE, "DATABASE_URL": database}
    with servers.process("smtp-sink", command, environ, home / "sink.log") as child:
        servers.wait_for(lambda: _listens(port), child)
        with servers.inside(servers.config_of(**told)):
            box = relay.keep()
            assert box is not None
            yield mailboxes.provider_for(box)


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_what_it_takes_arrives_as_it_was_frozen(database: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    with servers.short_directory("swsink-") as place:
        place.chmod(0o777)
        with the_relay(database, tmp_path, "-R", str(place), "-D", "mail") as provider:
            provider.send(MAIL.encode(), OFFICE, (MARY,))
        [file] = [one for one in place.iterdir() if one.name.startswith("mail")]
        said = file.read_bytes().replace(b"\r\n", b"\n")
    assert MAIL.replace("\r\n", "\n").encode() in said
    assert f"X-Rcpt-Args: <{MARY}>".encode() in said


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (("-r", "MAIL"), TryLater),
        (("-r", "DATA"), TryLater),
        (("-r", "."), TryLater),
        (("-f", "RCPT"), Refused),
        (("-f", "."), Refused),
        (("-q", "DATA"), TryLater),
        (("-q", "."), OutcomeUnknown),
    ],
)
def test_what_it_does_instead_is_sorted_by_what_happens_next(
    database: str, tmp_path: Path, asked: tuple[str, ...], answer: type[ProviderAnswer]
) -> None:
    with the_relay(database, tmp_path, *asked) as provider, pytest.raises(answer):
        provider.send(MAIL.encode(), OFFICE, (MARY,))
