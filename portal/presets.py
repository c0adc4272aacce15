"""Presets: the mail servers of common providers, so that an address alone is enough to begin. Data.

Sources, looked up again in November 2026: host, port and encryption from Thunderbird's list of
providers (autoconfig.thunderbird.net) for mailboxes, and from the services' own pages, named in
`help`, for those that only send; user names and passwords from those pages. smtppro and imappro:
Zoho's pages on SMTP and IMAP. App passwords at Telstra: users' reports of 2025. Of Microsoft:
Exchange team blog 4489835 (January 2026), and its end of passwords for personal accounts on 16
September 2024. Where no source was found there is no preset, and no server for incoming mail.
"""

from dataclasses import dataclass, replace

TLS, STARTTLS = ("tls", 465), ("starttls", 587)


@dataclass(frozen=True)
class Preset:
    """One provider. way: encryption and port. domains: of its own addresses; mx: how the names of
    its servers for other people's domains end. user: what to write as user name, where it is not
    the address. advice: what the password is. help: its own page. other: the kind of mailbox to
    connect instead, where a password does not do. service: it only sends, for any domain. inbox:
    where what comes in is read (IMAP, port 993)."""

    slug: str
    label: str
    host: str = ""
    way: tuple[str, int] = TLS
    domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    user: str = ""
    advice: str = ""
    help: str = ""
    other: str = ""
    service: bool = False
    inbox: str = ""

    @property
    def security(self) -> str:
        return self.way[0]

    @property
    def port(self) -> int:
        return self.way[1]


@dataclass(frozen=True)
class Suggestion:
    """What is filled in for an address. preset: whose it is; None where it is only a guess."""

    host: str
    port: int
    security: str
    user: str
    preset: Preset | None = None

    @property
    def inbox(self) -> str:
        """Where what comes in is read, if that is known."""
        return self.preset.inbox if self.preset else ""


_APP = "It wants an app password: one made for mail programs, not the one you sign in with. "
_KEY = "User name and password are made in its own settings; they are not those you sign in with. "
_GMX = tuple(f"gmx.{end}" for end in ("com", "co.uk", "us", "ca", "fr", "es", "ie", "com.my"))
_GMX_NET = tuple(f"gmx.{end}" for end in ("net", "de", "at", "ch", "eu", "org", "info"))
_YAHOO = tuple(
    f"yahoo.{end}"
    for end in ("com", "com.au", "co.nz", "co.uk", "ca", "de", "fr", "it", "es", "co.in")
)
_OUTLOOK = (
    *("outlook.com", "outlook.com.au", "hotmail.com", "hotmail.com.au", "hotmail.co.uk"),
    *("hotmail.co.nz", "live.com", "live.com.au", "live.co.uk", "msn.com", "windowslive.com"),
)


def _zoho(slug: str, end: str, free: str) -> tuple[Preset, Preset]:
    """Zoho in one region: its own addresses, and companies' own domains, which have a server of
    their own."""
    own = Preset(
        slug,
        "Zoho Mail",
        f"smtp.{end}",
        domains=(end, free),
        advice="With two-factor sign-in it wants an app password.",
        help="https://www.zoho.com/mail/help/zoho-smtp.html",
        inbox=f"imap.{end}",
    )
    company = replace(
        own,
        slug=f"{slug}-company",
        host=f"smtppro.{end}",
        inbox=f"imappro.{end}",
        domains=(),
        mx=(end,),
    )
    return own, company


PRESETS = (
    Preset(
        "gmail",
        "Gmail",
        "smtp.gmail.com",
        domains=("gmail.com", "googlemail.com"),
        mx=("google.com", "googlemail.com"),
        advice=_APP + "It takes 2-Step Verification, and dies when the password is changed.",
        help="https://support.google.com/mail/answer/185833",
        other="gmail",
        inbox="imap.gmail.com",
    ),
    Preset(
        "outlook",
        "Outlook.com",
        "smtp-mail.outlook.com",
        STARTTLS,
        domains=_OUTLOOK,
        mx=("olc.protection.outlook.com",),
        advice="Microsoft ended passwords of mail programs for personal accounts in 2024.",
        help="https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040",
        other="microsoft",
    ),
    Preset(
        "office365",
        "Microsoft 365",
        "smtp.office365.com",
        STARTTLS,
        domains=("onmicrosoft.com",),
        mx=("mail.protection.outlook.com",),
        advice="Microsoft switches passwords of mail programs off at the end of December 2026, and "
        "many companies have done so before.",
        help="https://techcommunity.microsoft.com/blog/exchange/"
        "updated-exchange-online-smtp-auth-basic-authentication-deprecation-timeline/4489835",
        other="microsoft",
    ),
    Preset(
        "fastmail",
        "Fastmail",
        "smtp.fastmail.com",
        domains=("fastmail.com", "fastmail.fm", "fastmail.com.au", "messagingengine.com"),
        mx=("messagingengine.com",),
        advice=_APP,
        help="https://www.fastmail.help/hc/en-us/articles/360058752854",
        inbox="imap.fastmail.com",
    ),
    Preset(
        "icloud",
        "iCloud",
        "smtp.mail.me.com",
        STARTTLS,
        domains=("icloud.com", "me.com", "mac.com"),
        mx=("mail.icloud.com",),
        advice=_APP + "Apple calls it an app-specific password.",
        help="https://support.apple.com/en-us/102654",
        inbox="imap.mail.me.com",
    ),
    Preset(
        "yahoo",
        "Yahoo",
        "smtp.mail.yahoo.com",
        domains=(*_YAHOO, "ymail.com", "rocketmail.com", "myyahoo.com"),
        mx=("yahoodns.net",),
        advice=_APP,
        help="https://help.yahoo.com/kb/SLN15241.html",
        inbox="imap.mail.yahoo.com",
    ),
    Preset(
        "aol",
        "AOL",
        "smtp.aol.com",
        domains=("aol.com", "aol.com.au", "aol.co.uk", "aim.com"),
        advice=_APP,
        help="https://help.aol.com/articles/create-and-manage-app-password",
        inbox="imap.aol.com",
    ),
    Preset(
        "gmx",
        "GMX",
        "mail.gmx.com",
        domains=_GMX,
        advice="First allow mail programs in its own settings, under POP3 & IMAP.",
        help="https://support.gmx.com/pop-imap/toggle.html",
        inbox="imap.gmx.com",
    ),
    Preset(
        "gmx-net",
        "GMX",
        "mail.gmx.net",
        domains=_GMX_NET,
        advice="First allow mail programs in its own settings, under POP3/IMAP.",
        help="https://hilfe.gmx.net/pop-imap/einschalten.html",
        inbox="imap.gmx.net",
    ),
    *_zoho("zoho-au", "zoho.com.au", "zohomail.com.au"),
    *_zoho("zoho-eu", "zoho.eu", "zohomail.eu"),
    *_zoho("zoho", "zoho.com", "zohomail.com"),
    Preset(
        "telstra",
        "Telstra Mail",
        "smtp.telstra.com",
        domains=("bigpond.com", "bigpond.net.au", "bigpond.net", "telstra.com"),
        advice=_APP,
        help="https://www.telstra.com.au/support/category/email/telstra-mail/"
        "recommended-email-settings-for-telstra-mail",
        inbox="imap.telstra.com",
    ),
    Preset(
        "xtra",
        "Xtra Mail",
        "send.xtra.co.nz",
        domains=("xtra.co.nz",),
        help="https://www.spark.co.nz/help/get-more/xtra/xtra-mail-setup/",
        inbox="imap.xtra.co.nz",
    ),
    Preset(
        "westnet",
        "Westnet",
        "mail.westnet.com.au",
        STARTTLS,
        domains=("westnet.com.au",),
        help="https://help.westnet.com.au/support/westnet-email-settings",
    ),
    Preset(
        "ses",
        "Amazon SES (Sydney)",
        "email-smtp.ap-southeast-2.amazonaws.com",
        user="the SMTP user name",
        advice=_KEY + "In another region the server has another name.",
        help="https://docs.aws.amazon.com/ses/latest/dg/send-email-smtp.html",
        service=True,
    ),
    Preset(
        "mailgun",
        "Mailgun",
        "smtp.mailgun.org",
        user="the SMTP login",
        advice=_KEY,
        help="https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
        service=True,
    ),
    Preset(
        "postmark",
        "Postmark",
        "smtp.postmarkapp.com",
        STARTTLS,
        user="the Server API Token",
        advice="The Server API Token is both the user name and the password.",
        help="https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
        service=True,
    ),
    Preset(
        "sendgrid",
        "SendGrid",
        "smtp.sendgrid.net",
        STARTTLS,
        user="apikey",
        advice="The user name is the word apikey, the password an API key.",
        help="https://www.twilio.com/docs/sendgrid/for-developers/sending-email/getting-started-smtp",
        service=True,
    ),
    Preset(
        "brevo",
        "Brevo",
        "smtp-relay.brevo.com",
        user="the SMTP login",
        advice="The password is an SMTP key, not an API key and not the one you sign in with.",
        help="https://developers.brevo.com/docs/smtp-integration",
        service=True,
    ),
)
BY_SLUG = {one.slug: one for one in PRESETS}
SERVICES = tuple(one for one in PRESETS if one.service)


def by_domain(domain: str) -> Preset | None:
    """The provider whose own addresses have this domain."""
    domain = domain.lower().rstrip(".")
    return next((one for one in PRESETS if domain in one.domains), None)


def by_servers(servers: tuple[str, ...]) -> Preset | None:
    """The provider that receives a domain's mail, by the names of its MX records.

    It is a hint: who receives a domain's mail nearly always sends it too.
    """
    names = [one.lower().rstrip(".") for one in servers]
    ends = [(end, one) for one in PRESETS for end in one.mx]
    fits = [
        (len(end), one)
        for end, one in ends
        if any(name == end or name.endswith(f".{end}") for name in names)
    ]
    return max(fits, key=lambda fit: fit[0], default=(0, None))[1]


def suggest(email: str, servers: tuple[str, ...] = (), chosen: str = "") -> Suggestion:
    """What to fill in for an address; servers: where its domain receives mail, if that is known.

    chosen: the slug of a sending service. Without a preset it is what hosting with a panel usually
    has: mail.<domain>, TLS from the first byte, the whole address as user name.
    """
    domain = email.rpartition("@")[2].lower()
    preset = BY_SLUG.get(chosen) or by_domain(domain) or by_servers(servers)
    if preset is None:
        return Suggestion(f"mail.{domain}", 465, "tls", email)
    user = ("apikey" if preset.user == "apikey" else "") if preset.service else email
    return Suggestion(preset.host, preset.port, preset.security, user, preset)
