"""Diagnosis: from what a server said to why, and to what kind of failure.

Statuses come first where they stand for one thing. Where they are vague, or the words say plainly
something else (a full mailbox under "unknown user"), the words decide.
"""

import re
from functools import lru_cache

from portal.incoming import codes
from portal.incoming.reasons import VERDICTS, Reason, Verdict

#: So much of a server's answer is looked at (characters).
LONGEST = 3_000

#: In the order in which they are tried: the more particular before the more general. Everything is
#: in lower case with single spaces.
_SIGNS: tuple[tuple[Reason, str], ...] = (
    (
        Reason.LIMIT,
        r"reached a limit for sending|(daily|hourly|user|maximum|account)[\w ]{0,20} sending"
        r" (limit|quota|rate)|sending (limit|quota) (has been )?(exceeded|reached)"
        r"|your daily limit for message recipients|daily message quota exceeded"
        r"|maximum sending rate exceeded|bad outbound sender|tenant has exceeded threshold"
        r"|exceeded (the|your) (max|maximum|daily|hourly)[\w ]{0,12}"
        r" (emails?|messages?|defers and failures) (per|allowed)|sent too many (messages|emails)"
        r"|message rate limit exceeded for (your|this) account|hostgator\.com/limits",
    ),
    (
        Reason.GREYLISTED,
        r"gr[ae]y-?list|postgrey|sqlgrey|come back (again )?later|try again in \d+ (s|m)",
    ),
    (
        Reason.TOO_LARGE,
        r"(message|mail|size|data|body|attachment)[\w ,'-]{0,40}(is |are )?(too (large|big)"
        r"|exceed[\w ]{0,30} (size|limit|maximum)|over (the )?(size|maximum))"
        r"|size (limit|of [\w ]{1,30}) (has been |was )?(exceeded|reached)|exceeds[\w ]{0,30} "
        r"message"
        r" (size|length)|exceeds (the |our )?size limit|max(imum)? message size|5\.3\.4|larger than"
        r" (the )?(current|maximum)",
    ),
    (
        Reason.MAILBOX_FULL,
        r"(mailbox|mail box|inbox|mail "
        r"?folder|account|user|recipient|disk|postfach|bo[iî]te|buz[oó]n)"
        r"[\w<>@.'() -]{0,60}(is |are |est |ist |está )?(full|over ?quota|pleine|voll|lleno|exceed"
        r"|out of (disk )?space|too full|no space)|over ?-?quota|quota (is |has been |was "
        r"|)?(exceed"
        r"|reached|full|violation)|exceed[\w' ]{0,30} (quota|storage)|quotaexceeded|mailfull|out of"
        r" (storage|disk) space|insufficient (system |disk )?(storage|quota|space)|storage[\w "
        r"]{0,20}"
        r" (full|exceeded|reached)|(mailbox|inbox|storage) (size )?(limit|quota)|no (disk )?space "
        r"left"
        r"|file too large|quota |容量|maildir (over|delivery failed: disk)",
    ),
    (
        Reason.RESTRICTED,
        r"resolver\.rst\.(notauthorized|authrequired|sendernotauth|restricted)|only accepts? "
        r"(mail|e-?"
        r"mail|messages) from|not (authori[sz]ed|allowed|permitted) to (send|post|e-?mail)[\w "
        r"]{0,12}"
        r" to (this|the|that) (recipient|group|address|list|user|mailbox|distribution)|permission "
        r"to"
        r" (post|e-?mail|send)[\w ]{0,20} (message|to this|to the)|(group|list) (is "
        r")?(restricted|closed|"
        r"members only)|not (on|in) (the|my|our) (white|allow|safe)-?list|sender (is )?not (on|in) "
        r"|private (list|group)|delivery not allowed to non-local",
    ),
    (
        Reason.SENDER_NOT_ALLOWED,
        r"\bspf\b|\bdkim\b|\bdmarc\b|sender policy framework|sender[ -]?id\b|\bptr\b|reverse[ "
        r"-]?(dns|"
        r"lookup|map|host)|unauthenticated|not pass authentication|authentication "
        r"(checks?|results?) "
        r"|fcrdns|rdns|(sender|from)[\w<>@.'() :-]{0,60}(reject|verif|not "
        r"(allowed|permitted|accepted|"
        r"authori[sz]ed|exist|valid)|invalid|domain)[\w ]{0,20}|domain of sender|mail from domain|"
        r"invalid (sender|return path|mail from)|not (allowed|permitted|authori[sz]ed) to "
        r"(send|relay)"
        r"[\w ]{0,12} (as|from|using|for|on behalf)|permissions? to send as|sendasdenied|helo|ehlo|"
        r"purported (responsible|sender)|backscatter|must authenticate|impersonat|spoof|"
        r"authentication[- ](is )?required|(ip|client|host)[\w ]{0,20} (does not|doesn't|has "
        r"no|have no|"
        r"cannot)[\w ]{0,20} (resolve|hostname|name)|cannot find your (reverse )?host|mismatch\w* "
        r"(the )?(client|sender) ip",
    ),
    (
        Reason.RELAY_DENIED,
        r"relay(ing)?[\w :'-]{0,24}(den|not|prohibit|reject|disallow|forbid|refus|restrict)"
        r"|(unable|not "
        r"(permitted|allowed|authori[sz]ed)|cannot|refus\w+|do(es)? not|won't|will "
        r"not|can't|denied) "
        r"(to )?(mail )?relay|no relaying|relaying|we do not relay|isn't in my (list|control)|"
        r"(not|isn't) (in )?(my|our)[\w ]{0,20} (rcpthosts|local domains|list of "
        r"allowed)|rcpthosts|"
        r"not (a )?(gateway|mail exchanger|hosted|local)",
    ),
    (
        Reason.LOOP,
        r"(mail|routing|forwarding|message) ?-?loop|loops? (back|detected)|too many "
        r"(hops|received)|"
        r"hop count|loop detected|excessive hop|looping",
    ),
    (
        Reason.CONTENT,
        r"(contain|infected|with)[\w ]{0,30} "
        r"(virus|malware|trojan|worm|phish|executable|macro|url|link"
        r"|forbidden|banned|prohibited)|(virus|malware|phishing)[\w ]{0,24} "
        r"(found|detected|reject)|"
        r"attach\w*[\w :'-]{0,40} (not|block|reject|prohibit|forbid|disallow|remov)|(block|reject|"
        r"prohibit|banned|forbid)\w* (the )?(attach|content|file|extension)|its content|message "
        r"content"
        r" (reject|viol|prohibit|not)|content (reject|filter|polic|restric|prohib|blocked)|"
        r"(header|mime|body)[\w ]{0,20} (error|invalid|illegal|malformed|not valid)|malformed|bare "
        r"(lf|cr|line)|rfc ?-?5?[28]22|non-?ascii|8-?bit|illegal attachment|virus",
    ),
    (
        Reason.NO_SUCH_DOMAIN,
        r"(domain|host|server|hostname)( or domain)?( name)?[\w<>@.'():\[\] -]{0,60} (not "
        r"found|not exist|"
        r"does ?n[o']t exist|unknown|non-?existent|couldn't be found|could not be found|cannot be "
        r"resolved|invalid|has no (mx|mail))|(unknown|no such|invalid|non-?existent|bad) (mail "
        r")?(domain"
        r"|host)|nxdomain|null ?mx|unrout(e)?able (mail )?domain|no (mx|mail exchanger|a "
        r"record)|name "
        r"service error|(does not|doesn't|cannot|not) (accept|receiv)\w* (any "
        r")?(e-?mail|mail)\b|mx "
        r"records? (point|for|not)|dns (domain|error|lookup failure|type)|could not be resolved|"
        r"unresolv|domainnonexistent|esmtp hosts? not",
    ),
    (
        Reason.ADDRESS_CLOSED,
        r"(mailbox|account|user|recipient|address|mail ?box|e-?mail)[\w<>@.'() "
        r"-]{0,60}(disabled|suspend"
        r"|inactive|deactivat|discontinued|closed|expired|terminated|cancel|locked|frozen|blocked "
        r"due|"
        r"no longer|is not active|not "
        r"active)|(disabled|suspended|inactive|deactivated|closed|expired|"
        r"terminated|locked|blocked|dormant) (mailbox|account|user|recipient|e-?mail|address)|no "
        r"longer "
        r"(active|available|in use|valid|on|with|at|employed|work|accept|exist|monitor|a "
        r"(user|customer))"
        r"|has (left|moved)|not (an )?active|out of service|recipient[\w ]{0,12} retired",
    ),
    (
        Reason.NO_SUCH_ADDRESS,
        r"(user|recipient|mailbox|account|address|addressee|alias|person|customer|local "
        r"?part|empf[aä]nger"
        r"|destinat[aá]\w+|adresse|benutzer|usuario|utilisateur|utente|inbox|mail ?box|e-?mail)"
        r"[\w<>@.,'\":;()!+= -]{0,80}(unknown|not (be "
        r")?(found|known|exist|valid|listed|here|available|"
        r"recogni[sz]ed|local|a |in )|n['o]t exist|does ?n[o']t (exist|have)|doesn't "
        r"exist|unavailable|"
        r"invalid|couldn't be found|wasn't found|could not be found|unbekannt|inconnue?|inexist|"
        r"desconocid|desconhecid|sconosciut|illegal|non-?existent|nicht "
        r"(gefunden|vorhanden|bekannt|exist)|syntax|isn't|"
        r"rejected: (access denied|unknown|user|no such))|"
        r"(unknown|no such|invalid|illegal|non-?existent|bad|wrong|incorrect|undeliverable"
        r"|unrout(e)?able|unrecogni[sz]ed|nonexistent|not a valid|unbekannte[rs]?|undefined)"
        r"[\w /-]{0,20} (user|recipient"
        r"|mailbox|account|address|alias|local|destination|inbox|empf|name|person|addressee|e-?mail|id)|"
        r"no (mailbox|user|account|recipient|one|such person|inbox|valid "
        r"recip)|recip(ient)?(not)?notfound"
        r"|adr\.|not listed in|not our customer|user not|unknown to|there is no|not (a )?known|"
        r"doesn't have an? [\w.]{1,30} account|not in (our|the|this) (directory|system|list)|don't "
        r"know|"
        r"is unknown|nosuchuser|nobody|name is not recogni[sz]ed|ユーザ|宛先|адрес|пользовател|не "
        r"найден|不存在",
    ),
    (
        Reason.BLOCKED,
        r"spam|junk|\bbulk\b|unsolicited|\bube\b|\buce\b|black-?list|block-?list|deny-?list|\bblock(ed|ing)?\b"
        r"|dnsbl|\brbl\b|spamhaus|barracuda|spamcop|sorbs|cloudmark|proofpoint|reputation|complain|"
        r"banned|blocked|listed (in|at|on|by)|polic(y|ies)|access denied|access is denied|abus|"
        r"suspicious|quarantin|not accepted for",
    ),
    (
        Reason.GAVE_UP,
        r"retry time|delivery (time|period)[\w ]{0,12} expired|(message|delivery|mail|queue)[\w "
        r"]{0,12} "
        r"expired|for \d+ (days|hours)|too long|timed? ?-?out|timeout|connection "
        r"(refused|reset|closed|"
        r"lost|dropped|died|was)|lost connection|no route|unreachable|not reachable|could not "
        r"(connect|"
        r"be reached)|(cannot|can't|couldn't|unable to|not) "
        r"(connect|contact|reach|establish|deliver "
        r"within)|giving up|gave up|given up|did not (accept|respond)|not respond|no "
        r"(answer|response|"
        r"reply)|maximum (queue|retry)|connection (attempt|failed)|failed to connect|host is down|"
        r"network (error|problem)|will not be retried|refused connection|undelivered after|expired",
    ),
    (
        Reason.TEMPORARY,
        r"temporar|try (again|later)|later|busy|too many|deferred|defer\b|service "
        r"(not|un)|resources|"
        r"rate( |-)?limit|throttl|local error|not accepting|overload|in use|system (error|problem)|"
        r"internal (error|server)|could not be (opened|locked)|insufficient|unexpected|command "
        r"output"
        r"|receiving mail (at|too)|maintenance|concurrent",
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
_READY = tuple((reason, re.compile(pattern)) for reason, pattern in _SIGNS)
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
    return next((reason for reason, sign in _READY if sign.search(text)), Reason.UNKNOWN)


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
