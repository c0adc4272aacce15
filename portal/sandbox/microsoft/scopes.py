"""Scope: one permission an app may ask for at Microsoft, as it is asked, granted and explained."""

from __future__ import annotations

GRAPH = "https://graph.microsoft.com/"
SIGN_IN = ("openid", "profile", "email", "offline_access")
#: What the consent page says of each: its title, and what it means.
MEANINGS = {
    "User.Read": (
        "Sign you in and read your profile",
        "Allows you to sign in to the app with your work account and lets it read your profile.",
    ),
    "Mail.Read": ("Read your mail", "Allows the app to read the mail in your mailbox."),
    "Mail.ReadBasic": (
        "Read your basic mail",
        "Allows the app to read the mail in your mailbox, but not bodies and attachments.",
    ),
    "Mail.ReadWrite": (
        "Read and write access to your mail",
        "Allows the app to create, read, update and delete mail in your mailbox. It does not "
        "include permission to send mail.",
    ),
    "Mail.Send": ("Send mail as you", "Allows the app to send mail as you."),
    "Mail.Read.Shared": (
        "Read mail that you can access",
        "Allows the app to read mail you can access, including your own and shared mail.",
    ),
    "Mail.ReadWrite.Shared": (
        "Read and write mail that you can access",
        "Allows the app to create, read, update and delete mail you have permission to access, "
        "including your own and shared mail.",
    ),
    "Mail.Send.Shared": (
        "Send mail on behalf of others or yourself",
        "Allows the app to send mail as you or on behalf of someone else.",
    ),
    "MailboxSettings.Read": (
        "Read your mailbox settings",
        "Allows the app to read your mailbox settings.",
    ),
    "offline_access": (
        "Maintain access to data you have given it access to",
        "Allows the app to see and update the data you gave it access to, even when you are not "
        "currently using the app.",
    ),
    "profile": ("View your basic profile", "Allows the app to see your basic profile."),
    "email": ("View your email address", "Allows the app to read your primary email address."),
    "openid": ("Sign you in", "Allows you to sign in to the app with your work account."),
}
ORDER = tuple(MEANINGS)


def asked(text: str, host: str = GRAPH) -> tuple[list[str], list[str]]:
    """The scopes asked for, in short, and those Microsoft does not know."""
    by_name = {name.lower(): name for name in MEANINGS}
    known: list[str] = []
    unknown: list[str] = []
    for scope in text.split():
        short = scope.removeprefix(GRAPH).removeprefix(host).lower()
        if short in by_name and by_name[short] not in known:
            known.append(by_name[short])
        elif short not in by_name:
            unknown.append(scope)
    return known, unknown


def of_graph(scopes: set[str] | frozenset[str] | list[str]) -> set[str]:
    return {scope for scope in scopes if scope not in SIGN_IN}


def joined(scopes: set[str] | frozenset[str]) -> str:
    """As the token endpoint lists them: offline_access shows only in the refresh token."""
    listed = [scope for scope in ORDER if scope in scopes and scope != "offline_access"]
    return " ".join(listed)
