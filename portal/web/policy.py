"""The sender policy's pages: who mail comes from, for the company and for each kind of document."""

from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from markupsafe import Markup, escape
from werkzeug.datastructures import MultiDict

from portal import mailboxes, policy
from portal.accounts import active_people
from portal.documents.kinds import KINDS, Kind
from portal.people import BadAddress, clean_address
from portal.policy import EVERY_KIND, Readiness
from portal.senders import Choice, Mode, Rule, SendFrom, Trouble
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("policy", __name__)

#: What a kind may choose besides the three modes.
FOLLOW = "company"
#: What adding an address in Gmail puts right.
ADDABLE = (Trouble.NOT_LINKED, Trouble.PENDING, Trouble.LOST)
WAITS = (
    "Mail that is not ready waits here and goes out by itself once that is put right. "
    "It never leaves from another address."
)


@dataclass(frozen=True)
class Wish:
    """What is chosen on the form: a mode, and for a specified address a listed or a typed one."""

    mode: str
    listed: str = ""
    typed: str = ""
    problem: str = ""

    @property
    def address(self) -> str:
        return self.listed or self.typed.strip()


@dataclass(frozen=True)
class Card:
    """One mode on the page: what a From line would be, and who is not ready for it."""

    choice: Choice
    people: list[Readiness]

    @property
    def not_ready(self) -> list[Readiness]:
        return [one for one in self.people if not one.choice.ready]


@pages.get("/settings/send-from")
@pages.get("/settings/send-from/<kind>")
@managers_only
def edit(kind: str = EVERY_KIND) -> ResponseReturnValue:
    """The choice, with live samples; what is chosen in the address is only shown, never stored."""
    asked = request.args.get("mode", "")
    wish = _read(request.args) if asked in _modes(kind) else _stored(kind)
    return _page(kind, wish if "listed" in request.args else _suggested(wish))


@pages.post("/settings/send-from")
@pages.post("/settings/send-from/<kind>")
@managers_only
def update(kind: str = EVERY_KIND) -> ResponseReturnValue:
    """Store the choice. An address nobody verified may be chosen: its mail waits."""
    if request.form.get("mode") not in _modes(kind):
        abort(400)
    wish = _checked(_read(request.form))
    if wish.problem:
        return _page(kind, wish, 422)
    if wish.mode == FOLLOW:
        policy.drop_rule(kind)
    else:
        chosen = wish.address if wish.mode == Mode.SPECIFIED else ""
        policy.set_rule(kind, Mode(wish.mode), chosen)
    _tell(kind)
    return see_other(url_for(".edit", kind=kind or None))


def _modes(kind: str) -> list[str]:
    """The values this page may be sent."""
    if kind == EVERY_KIND:
        return list(Mode)
    if kind not in KINDS:
        abort(404)
    return [FOLLOW, *Mode]


def _read(source: MultiDict[str, str]) -> Wish:
    return Wish(source.get("mode", ""), source.get("listed", ""), source.get("typed", ""))


def _stored(kind: str) -> Wish:
    rule = policy.rule(kind)
    if rule is None:
        return Wish(FOLLOW if kind else Mode.DEFAULT)
    return _as_chosen(rule)


def _suggested(wish: Wish) -> Wish:
    """The address one would most likely specify, so that this choice too shows a sample."""
    staff = {one.email for one in active_people()}
    others = [one.email for one in _known() if not one.is_primary]
    others.sort(key=lambda one: one in staff)
    return wish if wish.address or not others else Wish(wish.mode, others[0])


def _as_chosen(rule: Rule) -> Wish:
    known = rule.address in {one.email for one in _known()}
    return Wish(rule.mode, rule.address if known else "", "" if known else rule.address)


def _checked(wish: Wish) -> Wish:
    if wish.mode != Mode.SPECIFIED:
        return wish
    if not wish.address:
        return Wish(wish.mode, problem="Choose an address from the list, or write one.")
    try:
        return Wish(wish.mode, wish.listed, clean_address(wish.address).lower())
    except BadAddress as problem:
        return Wish(wish.mode, wish.listed, wish.typed, str(problem))


def _tell(kind: str) -> None:
    """What now holds; where it is not ready yet, what becomes of the mail and where to go on."""
    what = KINDS[kind].plural if kind else "Every document"
    comes = "come" if kind else "comes"
    choice = policy.choose_for(kind, current_user)
    people = [one for one in policy.readiness_now(kind) if not one.choice.ready]
    if choice.mode is Mode.USER:
        said = f"Saved. {what} now {comes} from whoever presses Send."
        if people:
            said += f" {_not_ready(people)} {WAITS}"
    elif choice.ready:
        said = f"Saved. {what} now {comes} {_from(choice)}."
    else:
        said = f"Saved, but not ready: {choice.problem} {WAITS}"
    href, label = _next_step(choice, people)
    link = Markup(' <a href="{}">{}</a>').format(href, label) if href else ""
    flash(escape(said) + link, "warn" if people else "good")


def _not_ready(people: list[Readiness]) -> str:
    if len(people) == 1:
        return f"{people[0].user.name} is not ready yet."
    return f"{len(people)} people are not ready yet."


def _next_step(choice: Choice, people: list[Readiness]) -> tuple[str, str]:
    """Where to go on after saving a rule that is not ready; nowhere when it is."""
    if not people:
        return "", ""
    if choice.mode is Mode.USER:
        return url_for("settings.show") + "#staff-title", "See who"
    able = [one for one in mailboxes.company_mailboxes() if one.can_send and one.can_list_addresses]
    if able and choice.sender and choice.trouble in ADDABLE:
        email = choice.sender.email
        return url_for("addresses.new", mailbox_id=able[0].id, email=email), "Show me how"
    return url_for("settings.show"), "Open System settings"


def _from(choice: Choice) -> str:
    return f"from {choice.sender.email}" if choice.sender else "from the company mailbox"


def _page(kind: str, wish: Wish, status: int = 200) -> ResponseReturnValue:
    _modes(kind)  # an unknown kind is no page
    known = _known()
    return page(
        "settings/send_from.html",
        "choices",
        status,
        kind=_kind(kind),
        wish=wish,
        known=known,
        cards={mode: _card(kind, mode, _whole(wish.address)) for mode in Mode},
        company_choice=policy.choose_for(EVERY_KIND, current_user) if kind else None,
        rules=[(one, policy.rule(slug)) for slug, one in KINDS.items()],
        boxes=mailboxes.company_mailboxes(),
        owners={one.owner_id for one in mailboxes.all_mailboxes()},
    )


def _whole(typed: str) -> str:
    """An address; nothing while it is none, so that no sample shows a From that cannot be."""
    try:
        return clean_address(typed)
    except BadAddress:
        return ""


def _kind(kind: str) -> Kind | None:
    return KINDS[kind] if kind else None


def _card(kind: str, mode: Mode, address: str) -> Card:
    chosen = address if mode is Mode.SPECIFIED else ""
    people = policy.readiness(kind, mode, chosen) if mode is Mode.USER else []
    return Card(policy.sample(kind, mode, chosen, current_user), people)


def _known() -> list[SendFrom]:
    """Addresses to choose from, each once, the verified ones first."""
    order = {"accepted": 0, "pending": 1, "wanted": 2, "lost": 3, "mistrusted": 4}
    found = sorted(mailboxes.send_from_addresses(), key=lambda one: order[one.verification])
    once: dict[str, SendFrom] = {}
    for one in found:
        if one.owner_id is None or one.is_primary:
            once.setdefault(one.email, one)
    return list(once.values())
