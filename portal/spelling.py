"""Spelling: how an e-mail address was really typed, and what was probably meant. Pure.

What cannot be meant (a hidden character, a pasted "mailto:") is taken out, and said. What may be
meant but hardly is (gmial.com, a Cyrillic letter among Latin ones) is only asked about.
"""

import re
import unicodedata
from dataclasses import dataclass

#: Characters that show nothing, besides those Unicode itself calls format characters.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)}
#: What an address is pasted in: quotes, a name before it, a link.
_WRAPPINGS = (
    re.compile(r"""["'“‘«](?P<inside>.*@.*)["'”’»]""", re.DOTALL),
    re.compile(r"[^<>@]*<(?P<inside>[^<>]*@[^<>]*)>"),
    re.compile(r"<?(?P<inside>[^<>]*@[^<>]*)>?"),
    re.compile(r"mailto:(?P<inside>[^?]*@[^?]*)(\?.*)?", re.IGNORECASE | re.DOTALL),
)
_AROUND_AT = re.compile(r"[^\S\r\n]*@[^\S\r\n]*")
#: Taken off before and after. A dot before an address is a mistake somebody should look at.
_BEFORE, _AFTER = ",;:", ".,;:"

#: A plain letter or sign, then those of other alphabets and word processors that look like it.
_LOOK_ALIKES = (
    "aаαɑ cс dԁ eе gɡ hһ iіıι jј kкκ lӏ oоο pрρ qԛ sѕ uυ vν wԝ xх yу"
    " AАΑ BВΒ CС EЕΕ HНΗ IІΙ JЈ KКΚ MМΜ NΝ OОΟ PРΡ SЅ TТΤ XХΧ YУΥ ZΖ -‐‑‒–— '’‘ʼ"
)
_TWINS = str.maketrans({odd: one[0] for one in _LOOK_ALIKES.split() for odd in one[1:]})

#: Where many private people have their mail; none of these is ever asked about.
_AUSTRALIAN = (
    *("bigpond", "optusnet", "iinet", "westnet", "tpg", "dodo", "aapt", "ozemail", "adam"),
    *("netspace", "exemail", "aussiebroadband", "hotmail", "outlook", "live", "yahoo", "fastmail"),
)
_WORLDWIDE = (
    *("gmail", "googlemail", "hotmail", "outlook", "live", "msn", "yahoo", "ymail", "icloud", "me"),
    *("mac", "aol", "mail", "email", "fastmail", "protonmail", "gmx", "rocketmail", "bigpond"),
    *("optusnet", "btinternet"),
)
PROVIDERS = frozenset(
    [f"{name}.com" for name in _WORLDWIDE]
    + [f"{name}.{end}" for name in _AUSTRALIAN for end in ("com.au", "net.au")]
    + ["internode.on.net", "proton.me", "fastmail.fm", "xtra.co.nz", "yahoo.co.nz", "yahoo.co.uk"]
    + ["hotmail.co.nz", "hotmail.co.uk"]
)
#: Shorter names than this have too many neighbours of one letter that are real.
_SHORTEST = 5
#: Endings nobody can register, and what they stand for.
_ENDINGS = {
    **dict.fromkeys(("con", "cmo", "ocm", "comm", "vom", "xom", "cim", "coom", "copm"), "com"),
    **dict.fromkeys(("nett", "nte"), "net"),
    **dict.fromkeys(("ogr", "orgg"), "org"),
}
_COUNTRIES = {"au", "nz", "uk"}
_NEVER = {"gmail.com.au": "gmail.com", "gmail.co.nz": "gmail.com", "gmail.co.uk": "gmail.com"}


@dataclass(frozen=True)
class Tidied:
    """An address without what cannot be meant; notes say what that was, each a sentence."""

    text: str
    notes: tuple[str, ...] = ()


def tidied(typed: str) -> Tidied:
    """Take out what cannot be meant. What is a good address stays as it is."""
    text, notes = typed, dict[str, None]()
    while (step := _one_step(text)) is not None:
        text, note = step
        notes[note] = None
    return Tidied(text, tuple(notes))


def _one_step(text: str) -> tuple[str, str] | None:
    """The first thing to take out, and what to say of it; None when there is nothing."""
    steps = (
        (_visible(text), "We removed a hidden character."),
        (_plain(text), "We wrote letters of an unusual shape plainly."),
        (_AROUND_AT.sub("@", text.strip()), "We removed spaces."),
        (_unwrapped(text), "We took the address out of what stood around it."),
        (text.lstrip(_BEFORE).rstrip(_AFTER), "We removed a sign before or after it."),
    )
    return next(((after, note) for after, note in steps if after != text), None)


def _visible(text: str) -> str:
    return "".join(one for one in text if not _hidden(one))


def _hidden(one: str) -> bool:
    return unicodedata.category(one) == "Cf" or ord(one) in _INVISIBLE


def _plain(text: str) -> str:
    """Full-width and ornamental forms of plain letters and signs, as those."""
    return "".join(_plainly(one) for one in text)


def _plainly(one: str) -> str:
    if one == "\u3002":  # the full stop of Chinese and Japanese keyboards
        return "."
    plain = unicodedata.normalize("NFKC", one)
    meant = plain.isascii() and plain.isprintable() and " " not in plain
    return plain if meant and not one.isascii() else one


def _unwrapped(text: str) -> str:
    found = (match["inside"] for one in _WRAPPINGS if (match := one.fullmatch(text)))
    return next((inside for inside in found if inside != text), text)


@dataclass(frozen=True)
class Doubt:
    """Something that was hardly meant: the address that probably was, and the question."""

    meant: str
    question: str


def doubt(email: str) -> Doubt | None:
    """What to ask before keeping an address; None where nothing speaks against it."""
    twin = twin_of(email)
    if twin:
        odd = next(one for one in email if one != one.translate(_TWINS))
        plain = odd.translate(_TWINS)
        return Doubt(twin, f"The “{odd}” in it only looks like “{plain}”: it is {_name(odd)}.")
    meant = likely(email)
    if meant:
        domain = email.rpartition("@")[2]
        return Doubt(meant, f"“{domain}” looks like a slip of the keys.")
    return None


def twin_of(email: str) -> str:
    """The address in plain letters that this one looks like; "" if it holds no look-alikes.

    A word whose other letters are foreign too, such as a Russian name, is no twin of anything.
    """
    plain = email.translate(_TWINS)
    return plain if plain != email and plain.isascii() else ""


def _name(odd: str) -> str:
    """ "a Cyrillic letter", "a Greek letter", "another sign"."""
    script = unicodedata.name(odd, "").split(" ")[0]
    if script in ("CYRILLIC", "GREEK"):
        return f"a {script.capitalize()} letter"
    return "another letter" if odd.isalpha() else "another sign"


def likely(email: str) -> str:
    """The address that was probably meant, with another domain; "" where nothing looks wrong."""
    local, _, domain = email.rpartition("@")
    written = domain.lower()
    if not local or written in PROVIDERS:
        return ""
    meant = _NEVER.get(written) or _near(_ended(written))
    return f"{local}@{meant}" if meant != written else ""


def _ended(domain: str) -> str:
    """The domain with an ending that exists: example.con, example.con.au."""
    labels = domain.split(".")
    if len(labels) == 1:
        return f"{domain}.com" if _near(f"{domain}.com") in PROVIDERS else domain
    place = -2 if labels[-1] in _COUNTRIES and len(labels) > 2 else -1
    labels[place] = _ENDINGS.get(labels[place], labels[place])
    return ".".join(labels)


def _near(domain: str) -> str:
    """The one well-known domain that is a single slip away, else the domain itself."""
    if domain in PROVIDERS:
        return domain
    near = {one for one in PROVIDERS if len(one.split(".")[0]) >= _SHORTEST and _slip(domain, one)}
    return near.pop() if len(near) == 1 else domain


def _slip(one: str, other: str) -> bool:
    """Whether one letter more, less, other, or two letters exchanged make one of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return one != other
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
