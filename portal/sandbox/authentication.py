"""Authentication: what a receiving provider writes down of the checks it made (RFC 8601).

It is true by default: SPF speaks for the mailbox that sent, DKIM for its domain, and DMARC passes
where one of them is the domain of the From. Steering may say otherwise: "spf=fail dkim=none".
"""

from __future__ import annotations

from portal.sandbox.mime import Head


def gmails(head: Head, sender: str, steered: str = "") -> str:
    """As mx.google.com writes it. sender: the address of the mailbox that sent it."""
    domain, author = _domain(sender), _author(head)
    found = _found(domain, author, steered)
    spf = "designates 209.85.220.41 as permitted sender" if found["spf"] == "pass" else "is unsure"
    return (
        f"mx.google.com; dkim={found['dkim']} header.i=@{domain} header.s=google header.b=a1B2c3D4;"
        f" spf={found['spf']} (google.com: domain of {sender} {spf}) smtp.mailfrom={sender};"
        f" dmarc={found['dmarc']} (p=NONE sp=NONE dis=NONE) header.from={author}"
    )


def microsofts(head: Head, sender: str, steered: str = "", *, within: bool = False) -> str:
    """As Exchange writes it, which names itself nowhere. within: it never left the company, so that
    nothing was signed, and the address it came from is nobody's."""
    domain, author = _domain(sender), _author(head)
    if within:
        return (
            "dkim=none (message not signed) header.d=none;dmarc=none action=none "
            f"header.from={author};"
        )
    found = _found(domain, author, steered)
    return (
        f"spf={found['spf']} (sender IP is 40.107.107.1) smtp.mailfrom={domain}; "
        f"dkim={found['dkim']} (signature was checked) header.d={domain};"
        f"dmarc={found['dmarc']} action=none header.from={author};compauth=pass reason=100"
    )


def _found(domain: str, author: str, steered: str) -> dict[str, str]:
    told = dict(pair.split("=", 1) for pair in steered.split())
    found = {"spf": "pass", "dkim": "pass"} | told
    aligned = author == domain and "pass" in (found["spf"], found["dkim"])
    return {"dmarc": "pass" if aligned else "fail"} | found


def _author(head: Head) -> str:
    return _domain(next(iter(head.addresses("From")), ""))


def _domain(email: str) -> str:
    return email.rpartition("@")[2].lower()
