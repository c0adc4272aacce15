"""Scope: one permission an app may ask for, as it is asked, granted and explained."""

from __future__ import annotations

FULL_MAIL = "https://mail.google.com/"
GMAIL = "https://www.googleapis.com/auth/gmail."
METADATA = GMAIL + "metadata"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
PROFILE = "https://www.googleapis.com/auth/userinfo.profile"
# How Google spells in its answers what apps may ask for in short.
SIGN_IN = {"openid": "openid", "email": EMAIL, "profile": PROFILE, EMAIL: EMAIL, PROFILE: PROFILE}
MAIL = {
    FULL_MAIL: "Read, write, send and permanently delete all your mail",
    GMAIL + "compose": "Manage drafts and send emails",
    GMAIL + "send": "Send email on your behalf",
    GMAIL + "readonly": "View your email messages and settings",
    GMAIL + "metadata": "View your email message metadata such as labels and headers, "
    "but not the email body",
    GMAIL + "modify": "Read, write and send mail for you",
    GMAIL + "insert": "Put mail into your mailbox",
    GMAIL + "labels": "See and change your labels",
    GMAIL + "settings.basic": "See, edit, create or change your email settings "
    "and filters in Gmail",
    GMAIL + "settings.sharing": "Manage who else may use your mail",
}


def asked(text: str) -> tuple[list[str], list[str]]:
    """The scopes asked for, in Google's spelling, and those Google does not know."""
    known: list[str] = []
    unknown: list[str] = []
    for scope in text.split():
        spelled = SIGN_IN.get(scope) or (scope if scope in MAIL else None)
        if spelled is None:
            unknown.append(scope)
        elif spelled not in known:
            known.append(spelled)
    return known, unknown


def of_mail(scopes: list[str]) -> list[str]:
    return [scope for scope in scopes if scope in MAIL]


def in_googles_order(scopes: set[str]) -> list[str]:
    order = [*MAIL, EMAIL, PROFILE, "openid"]
    return sorted(scopes, key=order.index)


def joined(scopes: set[str] | frozenset[str]) -> str:
    return " ".join(in_googles_order(set(scopes)))
