"""Conversation: one connection to the local letterbox, command by command (RFC 3501)."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from portal.sandbox.letterbox.boxes import Box, Boxes, Letter

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LONGEST_LINE = 64 * 1024
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_BODY = re.compile(r"BODY\.PEEK\[(HEADER)?\](?:<(\d+)\.(\d+)>)?", re.IGNORECASE)


class Cut(Exception):
    """The connection ends without a word."""


class Refusal(Exception):
    """What is answered behind the command's tag."""


class Conversation:
    """tls: with which to begin it at STARTTLS; None where it is on already or not to be had."""

    def __init__(
        self,
        boxes: Boxes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._boxes, self._reader, self._writer, self._tls = boxes, reader, writer, tls
        self._box: Box | None = None
        self._open, self._ended, self._half = False, False, False
        self._does: dict[str, Callable[[str], Awaitable[str]]] = {
            "CAPABILITY": self._capability,
            "NOOP": self._noop,
            "LOGOUT": self._logout,
            "STARTTLS": self._starttls,
            "LOGIN": self._login,
            "AUTHENTICATE": self._authenticate,
            "EXAMINE": self._examine,
            "SELECT": self._examine,
            "SEARCH": self._search,
            "FETCH": self._fetch,
        }

    async def run(self) -> None:
        self._boxes.connections += 1
        try:
            await self._spoilt("CONNECT")
            self._say(f"* OK [CAPABILITY {self._abilities()}] letterbox.inner.lan ready")
            while not self._ended:
                await self._writer.drain()
                await self._one_command()
            await self._writer.drain()
        except Refusal as greeting:  # in place of the greeting
            self._say(f"* {greeting}")
        except (Cut, OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            pass  # also where the letterbox itself ends
        finally:
            self._writer.close()

    async def _one_command(self) -> None:
        line = await self._line()
        tag, _, rest = line.partition(" ")
        name, _, told = rest.partition(" ")
        by_uid = name.upper() == "UID"
        if by_uid:
            name, _, told = told.partition(" ")
        act = self._does.get(name.upper())
        try:
            if act is None or by_uid != (name.upper() in ("SEARCH", "FETCH")):
                raise Refusal("BAD this letterbox does not know that")
            await self._spoilt(name.upper())
            answer = await act(told)
        except Refusal as refusal:
            answer = str(refusal)
        self._say(f"{tag} {answer}")
        if name.upper() == "STARTTLS" and answer.startswith("OK"):
            await self._begin_tls()

    # -- before anybody is known -----------------------------------------------------------------

    def _abilities(self) -> str:
        ways = "LOGINDISABLED" if self._tls is not None else "AUTH=PLAIN AUTH=XOAUTH2 SASL-IR"
        return f"IMAP4rev1 {'STARTTLS ' if self._tls is not None else ''}{ways}"

    async def _capability(self, _told: str) -> str:
        self._say(f"* CAPABILITY {self._abilities()}")
        return "OK done"

    async def _noop(self, _told: str) -> str:
        return "OK done"

    async def _logout(self, _told: str) -> str:
        self._say("* BYE")
        self._ended = True
        return "OK done"

    async def _starttls(self, _told: str) -> str:
        if self._tls is None:
            raise Refusal("BAD no TLS to begin")
        return "OK begin"

    async def _begin_tls(self) -> None:
        assert self._tls is not None
        await self._writer.drain()
        await self._writer.start_tls(self._tls)
        self._tls = None

    async def _login(self, told: str) -> str:
        words = [quoted.replace("\\", "") or bare for quoted, bare in _WORD.findall(told)]
        if self._tls is not None or len(words) != 2:
            raise Refusal("NO [PRIVACYREQUIRED] not like this")
        return self._enter(self._boxes.opens(*words))

    async def _authenticate(self, told: str) -> str:
        name, _, first = told.partition(" ")
        if self._tls is not None or name.upper() not in ("PLAIN", "XOAUTH2"):
            raise Refusal("NO not like this")
        if not first:
            self._say("+ ")
            await self._writer.drain()
            first = await self._line()
        said = base64.b64decode(first).decode()
        if name.upper() == "PLAIN":
            _, user, password = said.split("\0")
            return self._enter(self._boxes.opens(user, password))
        told_of = dict(part.partition("=")[::2] for part in said.split("\1") if part)
        token = told_of.get("auth", "").partition(" ")[2]
        box = self._boxes.opens_by_token(told_of.get("user", ""), token)
        if box is None:  # its reason comes first, and the caller says that it has heard
            self._say("+ " + base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode())
            await self._writer.drain()
            await self._line()
        return self._enter(box)

    def _enter(self, box: Box | None) -> str:
        if box is None:
            raise Refusal("NO [AUTHENTICATIONFAILED] Invalid credentials")
        self._box = box
        self._boxes.log_ins += 1
        return "OK welcome"

    # -- the inbox -------------------------------------------------------------------------------

    async def _examine(self, told: str) -> str:
        box = self._known()
        if told.strip('" ').upper() != "INBOX":
            raise Refusal("NO [NONEXISTENT] there is only the inbox")
        self._say(f"* {len(box.letters)} EXISTS")
        self._say(f"* OK [UIDVALIDITY {box.validity}] valid")
        self._say(f"* OK [UIDNEXT {box.next_uid}] next")
        self._open = True
        return "OK [READ-ONLY] open"

    async def _search(self, told: str) -> str:
        words = told.upper().split()
        if len(words) != 2 or words[0] not in ("UID", "SINCE"):
            raise Refusal("BAD this letterbox searches by UID or SINCE alone")
        found = self._since(words[1]) if words[0] == "SINCE" else self._from(words[1])
        self._say("* SEARCH " + " ".join(str(one.uid) for one in found))
        return "OK done"

    def _from(self, span: str) -> Iterable[Letter]:
        """n:* brings the last letter whatever its number, as the highest there is is meant."""
        first, _, last = span.partition(":")
        if last != "*":
            raise Refusal("BAD only from a number to the end")
        return self._opened().after(int(first) - 1) or self._opened().letters[-1:]

    def _since(self, day: str) -> Iterable[Letter]:
        number, month, year = day.split("-")
        month_number = [one.upper() for one in MONTHS].index(month) + 1
        start = datetime(int(year), month_number, int(number), tzinfo=UTC).timestamp()
        return [one for one in self._opened().letters if one.at >= start]

    async def _fetch(self, told: str) -> str:
        uids, _, wanted = told.partition(" ")
        asked = {int(one) for one in uids.split(",")}
        half, self._half = self._half, False
        for number, letter in enumerate(self._opened().letters, 1):
            if letter.uid in asked:
                self._tell(number, letter, wanted, half=half)
        return "OK done"

    def _tell(self, number: int, letter: Letter, wanted: str, *, half: bool) -> None:
        facts = [f"UID {letter.uid}"]
        if "RFC822.SIZE" in wanted.upper():
            facts.append(f"RFC822.SIZE {len(letter.raw)}")
        if "INTERNALDATE" in wanted.upper():
            facts.append(f'INTERNALDATE "{_moment(letter.at)}"')
        body = _BODY.search(wanted)
        if body is None:
            self._say(f"* {number} FETCH ({' '.join(facts)})")
            return
        part = letter.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if body[1] else letter.raw
        name, data = f"BODY[{body[1] or ''}]", part
        if body[2] is not None:
            data = part[int(body[2]) : int(body[2]) + int(body[3])]
            name += f"<{body[2]}>"
        head = f"* {number} FETCH ({name} {{{len(data)}}}\r\n".encode()
        if half:
            self._writer.write(head + data[: len(data) // 2])
            raise Cut
        # What was asked for first comes last: the order is the server's own affair.
        self._writer.write(head + data + f" {' '.join(facts)})\r\n".encode())

    # -- the wire --------------------------------------------------------------------------------

    def _known(self) -> Box:
        if self._box is None:
            raise Refusal("NO log in first")
        return self._box

    def _opened(self) -> Box:
        if not self._open:
            raise Refusal("BAD no inbox is open")
        return self._known()

    async def _spoilt(self, moment: str) -> None:
        mishap = self._boxes.mishap(moment)
        if mishap is None:
            return
        await asyncio.sleep(mishap.delay)
        if not mishap.reply:
            raise Cut
        self._half = mishap.reply == "half"
        if not self._half:
            raise Refusal(mishap.reply)

    def _say(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")

    async def _line(self) -> str:
        line = await self._reader.readuntil(b"\n")
        if len(line) > LONGEST_LINE:
            raise Cut
        return line.decode("utf-8", "replace").rstrip("\r\n")


def _moment(at: float) -> str:
    found = datetime.fromtimestamp(at, UTC)
    return f"{found:%d}-{MONTHS[found.month - 1]}-{found:%Y %H:%M:%S} +0000"
