"""The sender policy's page of the company: who mail comes from, for all of it and for each kind."""

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from markupsafe import Markup, escape

from portal import policy, standing
from portal.documents.kinds import KINDS
from portal.policy import EVERY_KIND, Readiness
from portal.senders import Choice, Mode, Rule, source
from portal.web import modes
from portal.web.guard import managers_only
from portal.web.meanwhile import Meanwhile
from portal.web.modes import Wish, choosable
from portal.web.page import page, see_other

pages = Blueprint("policy", __name__)

#: What a kind may choose besides the three modes.
FOLLOW = "company"
#: The modes under which it depends on a person who is ready.
BY_PERSON = (Mode.USER, Mode.ACCOUNT_MANAGER)
WAITS = (
    "Mail that is not ready waits here and goes out by itself once that is put right. "
    "It never leaves from another address."
)


@pages.get("/settings/send-from")
@pages.get("/settings/send-from/<kind>")
@managers_only
def edit(kind: str = EVERY_KIND) -> ResponseReturnValue:
    """The choice, with live samples; what is chosen in the address is only shown, never stored."""
    asked = request.args.get("mode", "")
    wish = modes.read(request.args) if asked in _modes(kind) else _stored(kind)
    return _page(kind, wish if "listed" in request.args else modes.suggested(wish))


@pages.post("/settings/send-from")
@pages.post("/settings/send-from/<kind>")
@managers_only
def update(kind: str = EVERY_KIND) -> ResponseReturnValue:
    """Store the choice. An address nobody verified may be chosen: its mail waits."""
    if request.form.get("mode") not in _modes(kind):
        abort(400)
    wish = modes.checked(modes.read(request.form))
    if wish.problems:
        return _page(kind, wish, 422)
    changed = modes.meanwhile(wish, kind)
    if changed or not _keep(kind, wish):
        return _page(kind, wish, 409, changed or modes.meanwhile(wish, kind))
    _tell(kind)
    return see_other(url_for(".edit", kind=kind or None))


def _keep(kind: str, wish: Wish) -> bool:
    """Store the choice; False when somebody else stored theirs at this very moment."""
    if wish.mode != FOLLOW:
        return modes.keep(wish, kind)
    policy.drop_rule(kind, actor=current_user.name)
    return True


def _modes(kind: str) -> list[str]:
    """The values this page may be sent."""
    if kind == EVERY_KIND:
        return list(choosable())
    if kind not in KINDS:
        abort(404)
    return [FOLLOW, *choosable()]


def _stored(kind: str) -> Wish:
    return modes.as_stored(policy.rule(kind), FOLLOW if kind else Mode.DEFAULT)


def _tell(kind: str) -> None:
    """What now holds; where it is not ready yet, what becomes of the mail and where to go on."""
    rule = policy.rule(kind) or policy.rule() or Rule(Mode.DEFAULT)
    comes = "come" if kind else "comes"
    now = f"{policy.kind_words(kind or None)} now {comes} from {_source(rule, kind)}."
    if rule.mode is Mode.ACCOUNT_MANAGER:
        lacking = _lacking_managers(kind)
    elif rule.mode is Mode.USER:
        people = [one for one in policy.readiness_now(kind) if not one.choice.ready]
        lacking = _lacking_people(people) if people else None
    else:
        lacking = _lacking_address(policy.choose_for(kind, current_user))
    if lacking is None:
        flash(f"Saved. {now}", "good")
        return
    said, href, label = lacking
    saved = f"Saved. {now}" if rule.mode in BY_PERSON else "Saved, but not ready:"
    link = Markup(' <a href="{}">{}</a>').format(href, label)
    flash(escape(f"{saved} {said} {WAITS}") + link, "warn")


def _source(rule: Rule, kind: str) -> str:
    choice = policy.choose_for(kind, current_user)
    by_address = rule.mode in (Mode.DEFAULT, Mode.SPECIFIED, Mode.RELAY) and choice.sender
    return choice.sender.email if by_address and choice.sender else source(rule)


#: What is lacking, in a sentence; where to put it right; what that link says.
Lacking = tuple[str, str, str]


def _lacking_managers(kind: str) -> Lacking | None:
    found = standing.managers_at(policy.COMPANY, kind)
    if found.properties and not found.waiting:
        return None
    several = f"{found.waiting} of {found.properties} properties are not ready yet."
    said = several if found.properties else "No property is written down yet."
    return said, url_for("approaches.managers"), "See who"


def _lacking_people(people: list[Readiness]) -> Lacking:
    one = f"{people[0].user.name} is not ready yet."
    said = one if len(people) == 1 else f"{len(people)} people are not ready yet."
    return said, url_for("settings.show") + "#staff-title", "See who"


def _lacking_address(choice: Choice) -> Lacking | None:
    """Where to go on after saving a rule whose address is not ready; nowhere when it is."""
    if choice.ready:
        return None
    return choice.problem, *modes.fix_for(choice)


def _page(
    kind: str, wish: Wish, status: int = 200, changed: Meanwhile | None = None
) -> ResponseReturnValue:
    _modes(kind)  # an unknown kind is no page
    return page(
        "settings/send_from.html",
        "choices",
        status,
        kind=KINDS[kind] if kind else None,
        wish=wish,
        changed=changed,
        seen=modes.mark(kind),
        cards=modes.cards(kind, wish, current_user),
        company_choice=policy.choose_for(EVERY_KIND, current_user) if kind else None,
        rules=[(one, policy.rule(slug)) for slug, one in KINDS.items()],
        elsewhere=policy.how_many_elsewhere(),
        **modes.shown(),
    )
