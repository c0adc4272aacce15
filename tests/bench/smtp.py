"""Smtp: how fast messages are handed to a mail server, beside a raw smtplib loop on the same one.

    python -m tests.bench.smtp

Both send the same prebuilt mail over one kept-open connection to a server in a process of its own
that keeps nothing. Rounds alternate, and the median of their ratios counts.
"""

import asyncio
import multiprocessing
import smtplib
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from portal.hosts import entries
from portal.providers import Smtp, smtp
from portal.providers.submission import Secret, Security, Server, Terms
from tests.bench.letterbox import Letterbox
from tests.bench.mails import reference_mail
from tests.bench.row import Row

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FROM, TO = "office@brightspark.example", "mary.lee@homes.example"
MAILS, ROUNDS = 500, 7
MARK = ">= 0.70"


def rows() -> Iterator[Row]:
    with letterbox() as port:
        ours, raw = sender(port), raw_sender(port)
        seen = [(rate(ours), rate(raw)) for _ in range(ROUNDS)]
    smtp.forget_connections()
    ratio = statistics.median(mine / theirs for mine, theirs in seen)
    mine, theirs = (statistics.median(column) for column in zip(*seen, strict=True))
    name = "handed to a mail server ÷ raw smtplib loop, 0 ms"
    yield Row(name, f"{mine:.0f} mails/s", f"{theirs:.0f} mails/s", ratio, MARK)


def rate(send: Callable[[], object]) -> float:
    """Mails a second."""
    began = time.perf_counter()
    for _ in range(MAILS):
        send()
    return MAILS / (time.perf_counter() - began)


def sender(port: int) -> Callable[[], object]:
    server, here = Server("127.0.0.1", port, Security.CLEAR), entries("127.0.0.0/8")
    provider = Smtp(server, Secret, Terms(None, [*here, *entries(f"127.0.0.1:{port}")]), 30)
    mail = reference_mail(0, "0" * 32)
    return lambda: provider.send(mail, FROM, (TO,))


def raw_sender(port: int) -> Callable[[], object]:
    line = smtplib.SMTP("127.0.0.1", port)
    assert line.sock is not None
    line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    mail = reference_mail(0, "0" * 32)
    return lambda: line.sendmail(FROM, TO, mail)


@contextmanager
def letterbox() -> Iterator[int]:
    """A server in a process of its own; its port."""
    told, tells = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_serve, args=(tells,), daemon=True)
    process.start()
    try:
        yield int(told.recv())
    finally:
        process.terminate()
        process.join()


def _serve(tells: "Connection") -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        # A socket made by asyncio itself sends small answers at once, as mail servers do.
        server = await loop.create_server(_session, "127.0.0.1", 0)
        tells.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _session() -> Letterbox:
    return Letterbox(lambda: None, lambda: 0.0)


if __name__ == "__main__":
    for row in rows():
        print(row.line())
