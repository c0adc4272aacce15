"""Obstacles: what keeps the portal from logging in to a mail server, and what to do about each.

Every sentence is for the office. Of a server's own words only what harmless() leaves is kept: they
may name the network that it stands in.
"""

import re
from enum import StrEnum

from portal import hosts

#: The longest part of its words that is kept.
LONGEST_WORDS = 300


class Problem(StrEnum):
    """What keeps the portal from logging in."""

    NO_SUCH_HOST = "no_such_host"
    FORBIDDEN = "forbidden"
    CLOSED = "closed"
    SILENT = "silent"
    NOT_MAIL = "not_mail"
    NO_TLS = "no_tls"
    SELF_SIGNED = "self_signed"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    UNTRUSTED = "untrusted"
    TLS_BROKEN = "tls_broken"
    NO_AUTH = "no_auth"
    WRONG_PASSWORD = "wrong_password"
    APP_PASSWORD = "app_password"
    PASSWORDS_OFF = "passwords_off"
    SENDER = "sender"
    BUSY = "busy"
    TURNED_AWAY = "turned_away"
    READING_OFF = "reading_off"


#: What a new password puts right.
OF_THE_PASSWORD = {
    *(Problem.WRONG_PASSWORD, Problem.APP_PASSWORD, Problem.PASSWORDS_OFF, Problem.READING_OFF)
}
#: What comes and goes by itself.
PASSING = {Problem.CLOSED, Problem.SILENT, Problem.NO_SUCH_HOST, Problem.BUSY, Problem.NOT_MAIL}

#: For each problem what it is, and what to do about it. {host}, {port} and {user} are filled in.
SENTENCES = {
    Problem.NO_SUCH_HOST: (
        "There is no server called {host}.",
        "Look for a spelling mistake. Your provider’s help pages name it as “outgoing server” or "
        "“SMTP server”.",
    ),
    Problem.FORBIDDEN: (
        "The portal may not connect to {host} at port {port}.",
        "It has to be a mail server on the Internet, at port 465, 587 or 2525. For one in your own "
        "network, whoever runs this portal names it in SMTP_ALLOWED_HOSTS.",
    ),
    Problem.CLOSED: (
        "{host} does not take connections at port {port}.",
        "Try port 465 with “Encrypted from the start”, or 587 with “Encrypted after STARTTLS”.",
    ),
    Problem.SILENT: (
        "{host} did not answer at port {port} in time.",
        "Check the name, the port and the kind of encryption. If they are right, try again in a "
        "few minutes; some networks shut port 587, and then 465 or 2525 works.",
    ),
    Problem.NOT_MAIL: (
        "What answers at {host}, port {port}, is not a mail server.",
        "Check the port: 465 for “Encrypted from the start”, 587 for “Encrypted after STARTTLS”.",
    ),
    Problem.NO_TLS: (
        "{host} offers no encryption at port {port} in the way that was chosen.",
        "Choose “Encrypted from the start” with port 465, or “Encrypted after STARTTLS” with port "
        "587. The portal never sends a password unencrypted.",
    ),
    Problem.SELF_SIGNED: (
        "The certificate of {host} was signed by itself, so nobody can tell whose server it is.",
        "Use the name that your provider gives for its server. If it is your own server, give it a "
        "certificate that everybody trusts.",
    ),
    Problem.EXPIRED: (
        "The certificate of {host} has expired.",
        "Tell your mail provider: only they can renew it. The password was not sent.",
    ),
    Problem.WRONG_NAME: (
        "The certificate of the server is for another name than {host}.",
        "Use the name that your provider gives for its server, often not one of your own domain.",
    ),
    Problem.UNTRUSTED: (
        "The certificate of {host} comes from somebody the portal does not know.",
        "Tell your mail provider. If it is your own server, whoever runs this portal names your "
        "authority in SMTP_CA_FILE.",
    ),
    Problem.TLS_BROKEN: (
        "No encrypted connection to {host} came about at port {port}.",
        "Try the other kind of encryption: port 465 from the start, port 587 after STARTTLS.",
    ),
    Problem.NO_AUTH: (
        "{host} lets nobody log in at port {port}.",
        "Use the server and port that your provider gives for sending mail from a mail program, "
        "usually 465 or 587.",
    ),
    Problem.WRONG_PASSWORD: (
        "{host} does not accept this user name with this password.",
        "Type the password again. Many providers want one made for mail programs, an app password, "
        "and some want another user name than the address.",
    ),
    Problem.APP_PASSWORD: (
        "{host} wants an app password, not the one you sign in with yourself.",
        "Make one in the security settings of your mail account, and type it here.",
    ),
    Problem.PASSWORDS_OFF: (
        "{host} does not let mail programs log in with a password any more.",
        "For a Microsoft account connect it as Microsoft 365 instead, or ask its administrator to "
        "switch on authenticated SMTP for this mailbox.",
    ),
    Problem.SENDER: (
        "{user} may log in to {host}, but not send from this address.",
        "Use the address that this mailbox belongs to, or have your provider allow this one.",
    ),
    Problem.BUSY: (
        "{host} takes no log-in just now.",
        "Try again in a few minutes.",
    ),
    Problem.TURNED_AWAY: (
        "{host} does not talk to this portal.",
        "Your provider can say why. Some servers take mail only from addresses they know.",
    ),
    Problem.READING_OFF: (
        "{host} does not let mail programs read this mailbox.",
        "Switch on IMAP in the settings of your mail account.",
    ),
}

#: What to do where it is the server for incoming mail that does not answer as it should.
_OTHER_DOOR = "Check the name and the port: usually 993, or 143 with STARTTLS."
READING_STEPS = {
    Problem.NO_SUCH_HOST: (
        "Look for a spelling mistake. Your provider’s help pages name it as “incoming server” or "
        "“IMAP server”."
    ),
    Problem.FORBIDDEN: (
        "It has to be a mail server on the Internet, at port 993 or 143. For one in your own "
        "network, whoever runs this portal names it in SMTP_ALLOWED_HOSTS."
    ),
    **dict.fromkeys(
        (
            *(Problem.CLOSED, Problem.SILENT, Problem.NOT_MAIL, Problem.NO_TLS),
            *(Problem.TLS_BROKEN, Problem.NO_AUTH),
        ),
        _OTHER_DOOR,
    ),
}
#: Sending does not depend on it.
WITHOUT_READING = "Or leave it empty: mail leaves all the same."


# -- the server's words ----------------------------------------------------------------------------

#: Whatever could be an address, with what clings to it; and the shorter kind inside of that.
_NUMBERS = re.compile(r"[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]+")
_FOUR_NUMBERS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
INNER_ADDRESS = "[inner address]"
_INNER_NAME = re.compile(
    r"(?<![\w@.-])[\w-]+(?:\.[\w-]+)*\.(?:local|localdomain|lan|internal|intranet|corp|home|private|arpa)\b"
    r"|\blocalhost\b",
    re.I,
)


def words_of(code: int, said: bytes) -> str:
    """A reply as it is kept in the evidence: on one line, harmless, not too long."""
    text = " ".join(said.decode(errors="replace").split())
    return harmless(f"{code} {text}")[:LONGEST_WORDS]


def harmless(text: str) -> str:
    """A server's words without addresses and names of the network it stands in."""
    return _INNER_NAME.sub("[inner name]", _NUMBERS.sub(_unless_open, text))


def _unless_open(found: re.Match[str]) -> str:
    whole = found[0]
    for text in (whole, whole.rstrip(".:")):
        ip = hosts.ip_of(text)
        if ip is not None:
            return whole if hosts.is_open(ip) else INNER_ADDRESS + whole[len(text) :]
    if _FOUR_NUMBERS.fullmatch(whole):  # four numbers, and yet no address
        return whole
    return _FOUR_NUMBERS.sub(_unless_open, whole)
