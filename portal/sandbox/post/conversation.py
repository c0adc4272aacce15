"""Conversation: one client of the local mail server, with everything that is told to go wrong."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from portal.sandbox.post.desk import Desk
from portal.sandbox.post.wrongs import Mishap

LARGEST = 36_000_000
NOT_YOURS = "553 5.7.1 <{}>: Sender address rejected: not owned by user {}"


class Conversation(SMTP):
    """aiosmtpd's own server, which asks the desk before each command whether to do it wrong."""

    def __init__(self, desk: Desk, handler: Handler, **more: Any) -> None:
        self.desk = desk
        super().__init__(handler, data_size_limit=LARGEST, ident="ready", **more)

    @property
    def user(self) -> str:
        """Who has logged in here; nobody: ""."""
        return "" if self.session is None else _user(self.session)

    def be_cut(self) -> None:
        """From any thread."""
        self.loop.call_soon_threadsafe(self.hang_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.desk.greet(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.desk.take_leave(self)
        if self.session is not None:  # else it ended within the TLS handshake
            super().connection_lost(error)

    async def _handle_client(self) -> None:
        self.desk.connections += 1
        if not await self._spoilt("CONNECT"):
            await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:
        if not await self._spoilt("EHLO"):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not await self._spoilt("STARTTLS"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self._spoilt("AUTH", user=_named_in(arg)):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if not await self._spoilt("MAIL", arg or ""):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not await self._spoilt("RCPT", arg or ""):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if not await self._spoilt("DATA"):
            await super().smtp_DATA(arg)

    async def smtp_RSET(self, arg: str) -> None:
        if not await self._spoilt("RSET"):
            await super().smtp_RSET(arg)

    async def _spoilt(self, moment: str, about: str = "", user: str = "") -> bool:
        """Whether the command was done wrong; if so, all was said."""
        mishap = self.desk.mishap(moment, about, user or self.user)
        return mishap is not None and await self.spoil(mishap)

    async def spoil(self, mishap: Mishap) -> bool:
        await asyncio.sleep(mishap.delay + mishap.hang)
        if mishap.usual:
            return False
        if mishap.reply:
            await self.push(mishap.reply)
        if not mishap.reply or mishap.reply.startswith("421"):
            self.hang_up()
        return True

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Handler:
    """What the server does with what it understood."""

    def __init__(self, desk: Desk, *, open_to_all: bool = False) -> None:
        self.desk, self.open_to_all = desk, open_to_all

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, said: list[str]
    ) -> list[str]:
        session.host_name = name
        return [*said[:-1], "250-8BITMIME", "250-PIPELINING", "250-ENHANCEDSTATUSCODES", said[-1]]

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.open_to_all and not session.authenticated:
            return "530 5.7.0 Authentication required"
        account = self.desk.account(_user(session))
        if account is not None and not account.may_send_as(address):
            return NOT_YOURS.format(address, account.user)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: Conversation, session: Session, envelope: Envelope) -> str:
        mishap = self.desk.mishap(".", user=server.user) or Mishap(".", usual=True)
        await asyncio.sleep(mishap.delay)
        if mishap.usual or mishap.accepts:
            raw, sender = envelope.original_content or b"", envelope.mail_from or ""
            kept = self.desk.accept(_user(session), sender, envelope.rcpt_tos, raw)
        await asyncio.sleep(mishap.hang)
        if mishap.usual:
            return f"250 2.0.0 Ok: queued as {kept.number:08X}"
        if not mishap.reply:
            server.hang_up()
            raise asyncio.CancelledError  # nothing more is said
        return mishap.reply

    async def auth_XOAUTH2(self, server: Conversation, args: list[str]) -> AuthResult:
        """Answers a bad token as Google does: a reason in JSON, then 535."""
        said = base64.b64decode(args[1]).decode().split("\1")
        user, token = said[0].removeprefix("user="), said[1].removeprefix("auth=Bearer ")
        if self.desk.lets_in_by_token(user, token):
            self.desk.log_ins += 1
            return AuthResult(success=True, auth_data=LoginPassword(user.encode(), b""))
        reason = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}')
        await server.push(b"334 " + reason)
        await server._reader.readuntil()
        return AuthResult(success=False, handled=False)

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, given: Any
    ) -> AuthResult:
        user, password = (one.decode(errors="replace") for one in (given.login, given.password))
        success = self.desk.lets_in(user, password)
        self.desk.log_ins += success
        return AuthResult(success=success, handled=False, auth_data=given)


def _named_in(arg: str) -> str:
    """Whom AUTH PLAIN or XOAUTH2 names; nobody where that comes later, or cannot be read."""
    way, _, told = arg.partition(" ")
    try:
        said = base64.b64decode(told, validate=True).decode()
    except ValueError:
        return ""
    if way.upper() == "XOAUTH2":
        return said.split("\1")[0].removeprefix("user=")
    return said.split("\0")[1] if said.count("\0") == 2 else ""


def _user(session: Session) -> str:
    login = getattr(session.auth_data, "login", b"") if session.authenticated else b""
    return bytes(login).decode(errors="replace")
