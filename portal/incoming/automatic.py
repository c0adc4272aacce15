"""Automatic: the signs by which a mail that no person wrote is told from one that a person did."""

import re

from portal.incoming.anatomy import Mail
from portal.incoming.headers import sender, words

_DAEMONS = re.compile(
    r"(?i)(mailer|mail|maildelivery|delivery|returned?)?[-_.]?(daemon|delivery[-_.]?(system|subsystem)?"
    r"|mdaemon|bounces?|bounced?[-_.]?mail|postmaster|postmast|undeliverable|delivery[-_.]?failure"
    r"|ndr|mta|mail[-_.]?system|system|smtp|microsoftexchange\w*|exchange|mailadmin|emaildaemon)"
    r"([-+_.=]\S*)?"
)
_NAMES = re.compile(r"(?i)mail(er)?[ -]?(delivery|daemon|system)|delivery (sub)?system|postmaster")

_FAILED = re.compile(
    r"(?i)undeliver|(?:mail |message |delivery |e-?mail )?delivery (?:has |was "
    r")?(?:fail|error|problem|sta"
    r"tus|notif|report|subsys|system|impossible|unsuccess|abort)|failure (?:notice|delivery|in "
    r"deliv)|ret"
    r"urned? (?:mail|e-?mail|to sender|message)|returning (?:message|to "
    r"sender|mail)|(?:not|n't|un|non-?"
    r"|cannot|never|unable to|could not|failed to|failure to) ?(?:be )?(?:been "
    r")?deliver|mail(?:er)? (?:sy"
    r"stem )?(?:error|fail)|message (?:status|not sent|rejected|blocked|you sent|undeliv|non)|mail "
    r"status"
    r"|bounced? |rejected|(?:user|recipient|host|address) (?:unknown|not found)|unknown "
    r"(?:user|recipient)"
    r"|non-?delivery|nondeliver|permanent (?:error|fatal|fail)|address not found|mail could not be|"
    r"problem delivering|failed (?:mail|delivery|message)|send(?:ing)? "
    r"(?:fail|error)|\bndr?n\b|mailbox "
    r"(?:is )?(?:full|unavailable|disabled)|(?:over|exceeded) quota|quota exceeded|warning: could "
    r"not send"
    r"|unzustell|nicht zugestellt|nicht "
    r"zustellbar|zustell(?:ung|fehler)|übermittlung|fehlgeschlagen"
    r"|unbekannter empf|non remis|échec|non distribu|pas (?:été|pu être) "
    r"(?:remis|livr|distrib)|retour "
    r"à l|no se (?:pudo|puede|ha podido)|no entregad|devuelto|error (?:de|en la|al) entreg|non "
    r"recapit"
    r"|mancat[ao] (?:recapit|consegn)|impossibile (?:recap|consegn)|onbestelb|niet (?:be|af)"
    r"(?:zorg|gelever|stel)|bezorg|não (?:foi )?(?:entreg|é possível)|falha (?:na|de) "
    r"entrega|devolvid"
    r"|går inte att|olevererbar|inte levere|ikke (?:lever|bli lever)|kan ikke|toimit(?:us|ta)|nie "
    r"(?:można"
    r"|dostarcz)|niedostarcz|niedoręcz|nelze doruč|nedoruč|kézbesít|не ?(?:удалось "
    r")?достав|недостав"
    r"|невозможн|возвращ|teslim edilem|iletilem|配信(?:不能|でき|に失敗)|配送(?:不能|エラー)|"
    r"送信(?:でき|に失敗|エラー)|届けられ|エラーメール|戻り|无法(?:传递|送达|投递)|未(?:送达|傳遞|传递)|"
    r"退信|無法(?:傳遞|送達)|投递失败|배달|반송|전송 실패|αδύνατη|παράδοσ|לא ניתן|تعذر"
    r"|không thể gửi|tidak"
    r" (?:terkirim|dapat)|ส่งไม่"
)
_LATE = re.compile(
    r"(?i)delay|still (?:being )?(?:retried|trying)|\bwarning\b(?!.{0,40}returned)|not yet (?:been "
    r")?deliver"
    r"|will be retried|verzöger|verspät|retard|différ|retras|demora|ritard|vertraag|atras|försen|"
    r"forsink|viiväst|opóźni|zpožd|késle|задерж|отлож|gecik|遅延|遅れ|延迟|延遲|지연|καθυστ"
)
_WILL_TRY = re.compile(
    r"this is a warning (?:message )?only|do(?:es)? not need to resend|will (?:be "
    r")?(?:retr(?:y|ied)|"
    r"continue|keep|try again|attempt)|(?:keep|still) trying|not yet been (?:delivered|able)|"
    r"has not (?:yet )?been delivered (?:yet|to)|delivery attempts will|no action is "
    r"required|delivery inc"
    r"omplete|temporary problem delivering|has been delayed|been queued for|has been deferred|wird "
    r"weiter"
    r"|weitere (?:zustell)?versuche|nouvelle tentative|seguir[áe] intent|continuer|ulteriori "
    r"tentativi"
    r"|blijven proberen|neemt? .{0,30}opnieuw|tentar (?:novamente|entregar)|再送"
    r"|will be returned to "
    r"you "
    r"if|попытки (?:доставки )?(?:будут|продол)"
)
_GIVEN_UP = re.compile(
    r"permanent (?:error|fatal|fail)|given up|giving up|gave up|not be retried|failed "
    r"permanently|will not "
    r"(?:be )?(?:retr|try)|no further attempts"
)
_AWAY = re.compile(
    r"(?i)^[\[(*\s]{0,4}(?:automatic(?:ally generated)? "
    r"(?:reply|response|message|acknowledg)|auto[- ]?"
    r"(?:matic)?[- ]?(?:reply|response|respond|responder|antwort|svar)|out[- ]of[- ](?:the[- "
    r"])?office"
    r"|ooo\b|away (?:from|until|on)|(?:on|annual) "
    r"(?:vacation|leave|holiday)|vacation|automatisch|abwesen"
    r"|nicht im (?:büro|haus)|réponse automatique|absen|respuesta autom|fuera de (?:la "
    r")?oficina|rispost"
    r"a automatica|fuori (?:sede|ufficio)|resposta automática|ausên|ausen|fora "
    r"do|afwezig|autom(?:atisk|a"
    r"at)|autosvar|frånvar|fravær|poissa|odpowiedź automat|automat|nieobec|mimo "
    r"kancel|automatikus|авто(?:"
    r"мат|отв)|otomatik|自動(?:応答|返信|回覆|回复)|不在|自动(?:答复|回复)|자동|αυτόματη|αποσία|απουσ|מענה|"
    r"رد تلقائي|trả lời tự|balasan otomatis|(?:we (?:have )?)?received your|thank you for "
    r"(?:your|conta))"
)
_ANSWERS = re.compile(
    r"(?i)^\s{0,4}(?:re|aw|antw|antwort|sv|vs|ynt|odp|rv|ref|réf|rép|ris|res|resp|vá|atb|re\[\d\]|回复|答复"
    r"|回覆|返信|答覆|отв|ответ|απ|σχετ|השב|رد|nl|bls|回)\s{0,3}[:：]"
)
_NO_REPLY = re.compile(r"(no|not|do[-_.]?not)[-_.]?(reply|respond|answer)")
#: What answering machines write into their headers, and how its value begins.
_MARKS = {
    "x-autoreply": "",
    "x-autorespond": "",
    "x-auto-reply": "",
    "x-autoreply-from": "",
    "x-autogenerated": "",
    "x-mail-autoreply": "",
    "x-vacation": "",
    "x-autoresponder": "",
    "x-ms-exchange-generated-message-source": "mailbox rules",
    "x-fc-machinegenerated": "true",
    "x-post-messageclass": "9",
    "precedence": "auto",
    "x-precedence": "auto",
    "delivered-to": "autoresponder",
    "x-mailer": "vacation",
}


def is_daemon(mail: Mail) -> bool:
    """Whether its sender is a mail server by its name."""
    value = mail.first("from")
    email, name = sender(value)
    local = email.partition("@")[0] or value.strip(" <>").partition("@")[0]
    return bool(_DAEMONS.fullmatch(local) or _NAMES.search(name[:100]) or _NAMES.match(value))


def is_from_nobody(mail: Mail) -> bool:
    """Whether nothing may be answered to it: its envelope has no sender."""
    path = mail.first("return-path").strip()
    return path == "<>" or path.lower().startswith("<mailer-daemon")


def submitted(mail: Mail) -> str:
    """Auto-Submitted (RFC 3834) in lower case; empty where a person wrote it."""
    value = mail.first("auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    return "" if value == "no" else value


def is_machine(mail: Mail) -> bool:
    """Whether a machine wrote it, as far as its headers tell."""
    if is_daemon(mail) or is_from_nobody(mail) or submitted(mail):
        return True
    return bool(mail.first("x-failed-recipients")) or is_marked(mail)


def is_marked(mail: Mail) -> bool:
    """Whether an answering machine left one of its marks."""
    return any(
        value.lower().startswith(_MARKS[name.lower()])
        for name, value in mail.fields
        if name.lower() in _MARKS
    )


def loops(mail: Mail) -> bool:
    """Whether an answer to it might be answered by a machine again."""
    bulk = mail.first("precedence").strip().lower() in ("bulk", "list", "junk", "auto_reply")
    return bulk or is_machine(mail) or bool(mail.first("x-loop"))


def answers_by_itself(mail: Mail) -> bool:
    """Whether an answering machine wrote it; in doubt a person did, whose answer must be seen."""
    refers = bool(mail.first("in-reply-to") or mail.first("references"))
    if is_marked(mail) or submitted(mail) == "auto-replied":
        return True
    if refers and (is_machine(mail) or is_unanswerable(mail)):
        return True
    away = says_away(words(mail.first("subject")))
    return away and (refers or is_machine(mail) or ":" in mail.first("subject"))


def is_unanswerable(mail: Mail) -> bool:
    """Whether its sender reads no answers."""
    junk = mail.first("precedence").strip().lower() in ("bulk", "junk")
    return junk or bool(_NO_REPLY.match(sender(mail.first("from"))[0]))


def is_advertising(mail: Mail) -> bool:
    """Whether a campaign sent it: nobody can be unsubscribed from a report."""
    return any(mail.first(name) for name in ("list-unsubscribe", "feedback-id", "x-campaign-id"))


def is_bulk(mail: Mail) -> bool:
    """Whether it went to many."""
    names = {name.lower() for name, _ in mail.fields}
    bulk = mail.first("precedence").strip().lower() in ("bulk", "list", "junk")
    return bulk or bool(names & {"list-id", "list-unsubscribe", "feedback-id", "x-campaign-id"})


def says_failed(subject: str) -> bool:
    return bool(_FAILED.search(subject)) and not _ANSWERS.match(subject)


def says_late(subject: str) -> bool:
    return bool(_LATE.search(subject)) and not _ANSWERS.match(subject)


def will_try(text: str) -> bool:
    """Whether a server says that it goes on trying. text: in lower case, on one line."""
    return bool(_WILL_TRY.search(text)) and not _GIVEN_UP.search(text)


def says_away(subject: str) -> bool:
    return bool(_AWAY.match(subject))


def is_answer(subject: str) -> bool:
    return bool(_ANSWERS.match(subject))
