"""Letterbox: the sink's SMTP side, for peers that send by SMTP.

It takes every mail, keeps none, and answers the end of each after the sink's latency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

END = b"\r\n.\r\n"


class Letterbox(asyncio.Protocol):
    """One SMTP session. taken() is told of each mail; latency() gives seconds."""

    def __init__(self, taken: Callable[[], None], latency: Callable[[], float]) -> None:
        self._taken, self._latency = taken, latency
        self._line = bytearray()
        self._last = b""
        self._in_mail = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        if self._in_mail:
            self._read_mail(data)
        else:
            self._read_lines(data)

    def _read_mail(self, data: bytes) -> None:
        """Only the end is looked for, which may come in two pieces."""
        joint = self._last + data
        end = joint.find(END, max(0, len(self._last) - len(END)))
        if end < 0:
            self._last = joint[-len(END) :]
            return
        self._in_mail, self._last = False, b""
        self._taken()
        loop = asyncio.get_running_loop()
        loop.call_later(self._latency(), self._transport.write, b"250 2.0.0 taken\r\n")
        self._read_lines(joint[end + len(END) :])

    def _read_lines(self, data: bytes) -> None:
        self._line += data
        while not self._in_mail and (end := self._line.find(b"\r\n")) >= 0:
            line = bytes(self._line[:end])
            del self._line[: end + 2]
            self._answer(line[:4].upper())
        if self._in_mail and self._line:
            rest = bytes(self._line)
            self._line.clear()
            self._read_mail(rest)

    def _answer(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._transport.write(b"250-sink\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE 0\r\n")
        elif verb == b"DATA":
            self._in_mail, self._last = True, b"\r\n"
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 ok\r\n")
