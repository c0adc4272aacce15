"""Ways: the providers through which a domain's mail leaves, and what each needs. Pure."""

import ipaddress
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Way:
    """One provider that sends for a domain.

    include: the SPF name of its servers; without one, hosts are the servers themselves.
    selectors: where its DKIM keys stand, by_cname as forwarding to the provider's own.
    envelope: the domain of the envelope's sender. keeps_envelope: the address's own; else the
    provider puts its mailbox's there.
    key_help: where its DKIM key is made. consumer: whose free addresses are its own.
    called: what tells it from another mailbox at the same provider.
    """

    slug: str
    label: str
    envelope: str = ""
    include: str = ""
    selectors: tuple[str, ...] = ()
    by_cname: bool = False
    hosts: tuple[str, ...] = ()
    key_help: str = ""
    consumer: str = ""
    called: str = ""
    keeps_envelope: bool = True

    @property
    def title(self) -> str:
        return self.called or self.label

    @property
    def key(self) -> str:
        """What this way is remembered by."""
        return "/".join((self.slug, *self.hosts, self.envelope))

    @property
    def spf_term(self) -> str:
        """What an SPF record needs for it."""
        if self.include:
            return f"include:{self.include}"
        if not self.hosts:
            return ""
        try:
            version = ipaddress.ip_address(self.hosts[0]).version
        except ValueError:
            return f"a:{self.hosts[0]}"
        return f"ip{version}:{self.hosts[0]}"


GMAIL = Way(
    "gmail",
    "Gmail",
    include="_spf.google.com",
    selectors=("google",),
    key_help="admin.google.com › Apps › Google Workspace › Gmail › Authenticate email",
    consumer="google",
    keeps_envelope=False,
)
MICROSOFT = Way(
    "microsoft",
    "Microsoft 365",
    include="spf.protection.outlook.com",
    selectors=("selector1", "selector2"),
    by_cname=True,
    key_help="security.microsoft.com › Email authentication settings › DKIM",
    consumer="microsoft",
    keeps_envelope=False,
)
#: Hosts of other providers, by the end of the name that mail is handed to.
PRESETS = {
    "smtp.gmail.com": GMAIL,
    "smtp-relay.gmail.com": GMAIL,
    "smtp.office365.com": MICROSOFT,
    "fastmail.com": Way(
        "fastmail",
        "Fastmail",
        include="spf.messagingengine.com",
        selectors=("fm1", "fm2", "fm3"),
        by_cname=True,
        key_help="Fastmail › Settings › Domains",
        consumer="Fastmail",
    ),
    "zoho.com": Way("zoho", "Zoho", include="zoho.com", selectors=("zmail",)),
    "zoho.com.au": Way("zoho", "Zoho", include="zoho.com.au", selectors=("zmail",)),
    "mailgun.org": Way("mailgun", "Mailgun", include="mailgun.org"),
    "sendgrid.net": Way(
        "sendgrid", "SendGrid", include="sendgrid.net", selectors=("s1", "s2"), by_cname=True
    ),
    "amazonaws.com": Way("ses", "Amazon SES", include="amazonses.com"),
    "postmarkapp.com": Way("postmark", "Postmark", include="spf.mtasv.net"),
    "migadu.com": Way(
        "migadu",
        "Migadu",
        include="spf.migadu.com",
        selectors=("key1", "key2", "key3"),
        by_cname=True,
    ),
}


def way_of(provider: str, mailbox: str, host: str = "", *, author: str = "") -> Way:
    """The way of one mailbox for mail of one domain.

    provider: gmail, microsoft, or anything else for plain SMTP; mailbox: the domain of its own
    address; host: the server that takes its mail, for plain SMTP; author: the domain of the From,
    where it is another than the mailbox's.
    """
    known = {"gmail": GMAIL, "microsoft": MICROSOFT}.get(provider)
    if known is None:
        host = host.lower().rstrip(".")
        ends = [end for end in PRESETS if host == end or host.endswith(f".{end}")]
        known = PRESETS[max(ends, key=len)] if ends else Way("smtp", host or "your mail server")
        known = known if known.include or not host else replace(known, hosts=(host,))
    return replace(known, envelope=author if author and known.keeps_envelope else mailbox)
