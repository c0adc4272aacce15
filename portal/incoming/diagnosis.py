"""Diagnosis: from what a server said to why, and to what kind of failure.

Statuses come first where they stand for one thing. Where they are vague, or the words say plainly
something else (a full mailbox under "unknown user"), the words decide.
"""

import re
from functools import lru_cache

from portal.incoming import codes
from portal.incoming.reasons import VERDICTS, Reason, Verdict
from portal.incoming.signs import Signs

#: So much of a server's answer is looked at (characters).
LONGEST = 3_000

#: In the order in which they are tried: the more particular before the more general. Everything is
#: in lower case with single spaces.
_SIGNS: tuple[tuple[Reason, Signs], ...] = (
    (
        Reason.LIMIT,
        Signs(
            r"""
            reached a limit for sending
            (daily|hourly|user|maximum|account)[\w ]{0,20} sending (limit|quota|rate)
            sending (limit|quota) (has been )?(exceeded|reached)
            your daily limit for message recipients|daily message quota exceeded
            maximum sending rate exceeded|bad outbound sender|tenant has exceeded threshold
            exceeded (the|your) (max|maximum|daily|hourly)[\w ]{0,12} e?-?mails? (per|allowed)
            sent too many (messages|emails)|message rate limit exceeded for (your|this) account
            hostgator\.com/limits
            """
        ),
    ),
    (
        Reason.GREYLISTED,
        Signs(
            r"""
            gr[ae]y-?list|postgrey|sqlgrey|come back (again )?later|try again in \d+ (s|m)
            """
        ),
    ),
    (
        Reason.TOO_LARGE,
        Signs(
            r"""
            (message|mail|size|data|body|attachment)[\w ,'-]{0,40}too (large|big)
            (message|mail|size|data|body|attachment)[\w ,'-]{0,40}exceed[\w ]{0,30} (size|limit|max)
            (message|mail|data|body|attachment)[\w ,'-]{0,40}over (the )?(size|maximum)
            size (limit|of [\w ]{1,30}) (has been |was )?(exceeded|reached)
            exceeds[\w ]{0,30} message (size|length)|exceeds (the |our )?size limit
            max(imum)? message size|5\.3\.4|larger than (the )?(current|maximum)
            """
        ),
    ),
    (
        Reason.MAILBOX_FULL,
        Signs(
            r"""
            (mailbox|mail box|inbox|mail ?folder|disk)[\w<>@.'() -]{0,60}(full|exceed|no space)
            (account|user|recipient)[\w<>@.'() -]{0,60}(full\b|exceed|no space)
            (postfach|bo[iî]te|buz[oó]n)[\w<>@.'() -]{0,60}(voll|pleine|lleno)
            over ?-?quota|quota (is |has been |was |)?(exceed|reached|full|violation)
            exceed[\w' ]{0,30} (quota|storage)|quotaexceeded|mailfull|out of (storage|disk) space
            insufficient (system |disk )?(storage|quota|space)
            storage[\w ]{0,20} (full|exceeded|reached)
            (mailbox|inbox|storage) (size )?(limit|quota)|no (disk )?space left|file too large
            quota\x20|容量|maildir (over|delivery failed: disk)
            """
        ),
    ),
    (
        Reason.RESTRICTED,
        Signs(
            r"""
            resolver\.rst\.(notauthorized|authrequired|sendernotauth|restricted)
            only accepts? (mail|e-?mail|messages) from
            not (authori[sz]ed|allowed|permitted) to (send|post)[\w ]{0,20} to th(is|e|at)\x20
            permission to (post|e-?mail|send)[\w ]{0,20} (message|to this|to the)
            (group|list) (is )?(restricted|closed|members only)
            not (on|in) (the|my|our) (white|allow|safe)-?list|sender (is )?not (on|in)\x20
            private (list|group)|delivery not allowed to non-local
            """
        ),
    ),
    (
        Reason.SENDER_NOT_ALLOWED,
        Signs(
            r"""
            \bspf\b|\bdkim\b|\bdmarc\b|sender policy framework|sender[ -]?id\b|\bptr\b
            reverse[ -]?(dns|lookup|map|host)|unauthenticated|not pass authentication
            authentication (checks?|results?)\x20|fcrdns|rdns
            (sender|from)[\w<>@.'() :-]{0,60}(reject|verif|invalid|domain)
            (sender|from)[\w<>@.'() :-]{0,60}not (allowed|permitted|accepted|exist|valid)
            (sender|from)[\w<>@.'() :-]{0,60}not authori[sz]ed
            domain of sender|mail from domain|invalid (sender|return path|mail from)
            not (allowed|permitted|authori[sz]ed) to send[\w ]{0,12} (as|from|using|for|on behalf)
            permissions? to send as|sendasdenied|helo|ehlo|purported (responsible|sender)
            backscatter|must authenticate|impersonat|spoof|authentication[- ](is )?required
            (ip|client|host)[\w ]{0,20} (does not|doesn't|cannot)[\w ]{0,20} resolve
            (ip|client|host)[\w ]{0,20} (has|have) no[\w ]{0,20} (hostname|name)
            cannot find your (reverse )?host|mismatch\w* (the )?(client|sender) ip
            """
        ),
    ),
    (
        Reason.RELAY_DENIED,
        Signs(
            r"""
            relay(ing)?[\w :'-]{0,24}(den|not|prohibit|reject|disallow|forbid|refus|restrict)
            (unable|permitted|allowed|authori[sz]ed|refus\w+|denied) (to )?(mail )?relay
            (cannot|do(es)? not|won't|will not|can't) relay
            no relaying|relaying|we do not relay|isn't in my (list|control)
            (not|isn't) (in )?(my|our)[\w ]{0,20} (rcpthosts|local domains|list of allowed)
            rcpthosts|not (a )?(gateway|mail exchanger|hosted|local)
            """
        ),
    ),
    (
        Reason.LOOP,
        Signs(
            r"""
            (mail|routing|forwarding|message) ?-?loop|loops? (back|detected)
            too many (hops|received)|hop count|loop detected|excessive hop|looping
            """
        ),
    ),
    (
        Reason.CONTENT,
        Signs(
            r"""
            (contain|infected|with)[\w ]{0,30} (virus|malware|trojan|worm|phish|macro|executable)
            contain[\w ]{0,30} (url|link|forbidden|banned|prohibited)
            (virus|malware|phishing)[\w ]{0,24} (found|detected|reject)
            attach\w*[\w :'-]{0,40} (not|block|reject|prohibit|forbid|disallow|remov)
            (block|reject|prohibit|banned|forbid)\w* (the )?(attach|content|file|extension)
            its content|message content (reject|viol|prohibit|not)
            content (reject|filter|polic|restric|prohib|blocked)
            (header|mime|body)[\w ]{0,20} (error|invalid|illegal|malformed|not valid)|malformed
            bare (lf|cr|line)|rfc ?-?5?[28]22|non-?ascii|8-?bit|illegal attachment|virus
            """
        ),
    ),
    (
        Reason.NO_SUCH_DOMAIN,
        Signs(
            r"""
            HOST[\w<>@.'():\[\] -]{0,60} (not found|does ?n[o']t exist|not exist|unknown|invalid)
            HOST[\w<>@.'():\[\] -]{0,60} (non-?existent|be found|cannot be resolved|has no mx)
            (unknown|no such|invalid|non-?existent|bad) (mail )?(domain|host)|nxdomain|null ?mx
            unrout(e)?able (mail )?domain|no (mx|mail exchanger|a record)|name service error
            (does not|doesn't|cannot|not) (accept|receiv)\w* (any )?(e-?mail|mail)\b
            mx records? (point|for|not)|no smtp service
            could not be resolved|unresolv|dns (domain|error|lookup failure|type)|domainnonexistent
            """,
            HOST="domain domain_name host host_name hostname server",
        ),
    ),
    (
        Reason.ADDRESS_CLOSED,
        Signs(
            r"""
            BOX[\w<>@.'() -]{0,60}(CLOSED|no longer|is not active|not active|blocked due)
            (CLOSED|blocked) BOX
            no longer (active|available|in use|valid|on|with|at|employed|work|accept|exist|monitor)
            has (left|moved)|not (an )?active|out of service|recipient[\w ]{0,12} retired
            """,
            BOX="mailbox account user recipient address mail_box e-?mail",
            CLOSED="disabled suspend(ed)? inactive deactivated discontinued closed expired"
            " terminated cancell?ed locked frozen dormant",
        ),
    ),
    (
        Reason.NO_SUCH_ADDRESS,
        Signs(
            r"""
            WHO[\w<>@.,'\":;()!+= -]{0,80}(NOT|NICHT|n['o]t (exist|have)|be found)
            WHO[\w<>@.,'\":;()!+= -]{0,80}not (be )?(found|known|exist|valid|listed|here|available)
            WHO[\w<>@.,'\":;()!+= -]{0,80}(not|isn't) (recogni[sz]ed|local|a |in )
            rejected: (access denied|unknown|user|no such)|(couldn|wasn)'t be found|wasn't found
            (UNKNOWN|no such|not a valid|unrout(e)?able)[\w /-]{0,20} (WHO|local|destination|name)
            no (mailbox|user|account|recipient|one|such person|inbox|valid recip)
            recip(ient)?(not)?notfound|adr\.|not listed in|not our customer|user not|unknown to
            there is no |not (a )?known|doesn't have an? [\w.]{1,30} account
            not in (our|the|this) (directory|system|list)|don't know|is unknown|nosuchuser|nobody
            name is not recogni[sz]ed|宛先不明|ユーザーが存在|用户不存在|收件人不存在|地址不存在
            (пользовател|адрес)\w*[\w ]{0,30} не (найден|существует)|не найден
            """,
            WHO="user recipient mailbox account address addressee alias person customer local_?part"
            " inbox mail_box e-?mail empf[aä]nger destinat[aá]\\w+ adresse benutzer usuario"
            " utilisateur utente",
            NOT="unknown unavailable invalid illegal non-?existent inexist\\w* syntax unbekannt"
            " inconnue? desconocid desconhecid sconosciut",
            NICHT="nicht_gefunden nicht_vorhanden nicht_bekannt nicht_existiert",
            UNKNOWN="unknown invalid illegal non-?existent bad wrong incorrect undeliverable"
            " unrecogni[sz]ed unbekannte[rs]? undefined",
        ),
    ),
    (
        Reason.BLOCKED,
        Signs(
            r"""
            spam|junk|\bbulk\b|unsolicited|\bube\b|\buce\b|black-?list|block-?list|deny-?list
            \bblock(ed|ing)?\b|dnsbl|\brbl\b|spamhaus|barracuda|spamcop|sorbs|cloudmark|proofpoint
            reputation|complain|banned|blocked|listed (in|at|on|by)|polic(y|ies)|access denied
            access is denied|abus|suspicious|quarantin|not accepted for
            """
        ),
    ),
    (
        Reason.GAVE_UP,
        Signs(
            r"""
            retry time|delivery (time|period)[\w ]{0,12} expired
            (message|delivery|mail|queue)[\w ]{0,12} expired|for \d+ (days|hours)|too long
            timed? ?-?out|timeout|connection (refused|reset|closed|lost|dropped|died|was)
            lost connection|no route|unreachable|not reachable|could not (connect|be reached)
            (cannot|can't|couldn't|unable to|not) (connect|contact|reach|establish|deliver within)
            giving up|gave up|given up|did not (accept|respond)|not respond
            no (answer|response|reply)|maximum (queue|retry)|connection (attempt|failed)
            failed to connect|host is down|network (error|problem)|will not be retried
            refused connection|undelivered after|expired
            """
        ),
    ),
    (
        Reason.TEMPORARY,
        Signs(
            r"""
            temporar|try (again|later)|later|busy|too many|deferred|defer\b
            service (currently )?(not|un)|resources|rate( |-)?limit|throttl|local error
            not accepting|overload|in use
            system (error|problem)|internal (error|server)|could not be (opened|locked)
            insufficient|unexpected|command output|receiving mail (at|too)|maintenance|concurrent
            """
        ),
    ),
)
#: Said for want of better words: they count where nothing else tells anything.
_HINTS = (
    (
        Reason.NO_SUCH_ADDRESS,
        re.compile(
            r"(address|recipient|user|mailbox|account)s? (was |is )?rejected|does not exist"
        ),
    ),
    (
        Reason.BLOCKED,
        re.compile(
            r"reject|refus|denied|prohibited|not (wanted|accepted|welcome|authori[sz]ed|allowed)"
            r"|administrative|filter|security"
        ),
    ),
)
#: Words that say something no exact status takes back.
_PLAIN = {Reason.LIMIT, Reason.MAILBOX_FULL, Reason.GREYLISTED, Reason.RESTRICTED}
_LINKS = re.compile(r"https?://\S{1,300}|[\w.+=-]{1,64}@[\w.-]{1,200}")


def understood(words: str) -> Reason:
    """Why, by the words alone; UNKNOWN where they say nothing of it."""
    text = " ".join(words[:LONGEST].lower().split())
    return _first_sign(_essence(text))


def hinted(words: str) -> Reason:
    """Why, by words that are often said for want of better ones."""
    text = _essence(" ".join(words[:LONGEST].lower().split()))
    return next((reason for reason, hint in _HINTS if hint.search(text)), Reason.UNKNOWN)


def _essence(text: str) -> str:
    """Without links and addresses: what they are called is not what a server says."""
    return _LINKS.sub("@", text).replace("unknown address error", "").replace("giving up on", "")


@lru_cache(maxsize=1_024)
def _first_sign(text: str) -> Reason:
    return next((reason for reason, sign in _SIGNS if sign.within(text)), Reason.UNKNOWN)


def judge(status: str, words: str, more: str = "") -> tuple[Reason, Verdict, str]:
    """Why, what kind of failure, and the status that says most.

    status: of the report, may be empty; words: the server's own; more: what else was written to
    people, looked at only where the rest says nothing.
    """
    best = _best_status(status, words)
    reason = _weighed(best, codes.meaning(best), understood(words))
    if reason is Reason.UNKNOWN:
        reason = hinted(words)
    if reason is Reason.UNKNOWN and more:
        reason = understood(more)
    return reason, _verdict(reason, best or _reply_class(words)), best


def _best_status(status: str, words: str) -> str:
    """The first that stands for one thing: the server's own answer before the reporter's."""
    own = [one for one in codes.statuses(words[:LONGEST]) if not one.startswith("2")]
    telling = [one for one in own if codes.meaning(one) is not Reason.UNKNOWN]
    exact = (one for one in own if codes.is_exact(one))
    return next(exact, "") or next(iter(telling), "") or _fuller(status, own)


def _fuller(status: str, own: list[str]) -> str:
    said = [one for one in (status, *own) if codes.meaning(one) is not Reason.UNKNOWN]
    return next(iter([*said, *own]), "") or status


def _weighed(status: str, meant: Reason, said: Reason) -> Reason:
    if said is Reason.UNKNOWN:
        return meant
    if not codes.is_exact(status) or said in _PLAIN:
        return said
    passing = said is Reason.GAVE_UP and status.startswith("4")
    return said if passing or said in _EXCEPTIONS.get(status.partition(".")[2], ()) else meant


#: Codes that stand for one thing, except where these words come with it.
_EXCEPTIONS = {
    "1.1": {Reason.ADDRESS_CLOSED, Reason.SENDER_NOT_ALLOWED},
    "1.10": {Reason.NO_SUCH_DOMAIN},
    "2.1": {Reason.NO_SUCH_ADDRESS, Reason.TEMPORARY, Reason.BLOCKED},
    "4.1": {Reason.NO_SUCH_ADDRESS, Reason.NO_SUCH_DOMAIN},
    "4.4": {Reason.GAVE_UP, Reason.NO_SUCH_ADDRESS},
    "3.2": {Reason.GAVE_UP},
    "7.5": {Reason.BLOCKED, Reason.CONTENT},
    "7.9": {Reason.SENDER_NOT_ALLOWED, Reason.CONTENT},
}


def _reply_class(words: str) -> str:
    """A status as vague as the reply of SMTP that stands in the words."""
    found = codes.REPLY.search(words[:LONGEST])
    return f"{found[1][0]}.0.0" if found else ""


def _verdict(reason: Reason, status: str) -> Verdict:
    passing = status.startswith("4")
    if passing and reason is Reason.UNKNOWN:
        return Verdict.SOFT
    return VERDICTS[reason]
