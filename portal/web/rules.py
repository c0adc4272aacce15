"""Rules: every rule for who mail comes from, at any place, and a way to try them out."""

from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField
from wtforms.fields.choices import SelectChoice

from portal import history, people, places, policy, properties, senders, standing
from portal.accounts import User, active_people
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.ladder import explain
from portal.people import USUAL_FOR, Company
from portal.policy import COMPANY, EVERY_KIND, Scene, SenderRule
from portal.senders import Choice, Place, Scope
from portal.web import modes
from portal.web.guard import managers_only
from portal.web.meanwhile import Meanwhile, Versioned, commit, since
from portal.web.modes import Wish, choosable
from portal.web.page import page, see_other

pages = Blueprint("rules", __name__)

#: So many places a search offers; who seeks another writes more of it.
OFFERED = 8
#: So many of the latest changes stand under the list.
TOLD = 20
#: So many rules one list shows, and from how many on it can be searched.
SHOWN, FEW = 200, 8


class OptionsForm(Versioned):
    """What belongs to no single rule."""

    mixed_batches = RadioField(
        "When one batch holds invoices of several branches",
        choices=[
            SelectChoice("each", "Each invoice goes by its own rules"),
            SelectChoice("company", "The whole batch goes by the company’s rule (as Aspire does)"),
        ],
    )
    one_off = RadioField(
        "Who may choose another sender for one sending",
        choices=[
            SelectChoice("managers", "Managers"),
            SelectChoice("everyone", "Everybody who signs in"),
        ],
    )


@dataclass(frozen=True)
class Offer:
    """A place that can be chosen, and what tells it from others of its name."""

    place: Place
    about: str = ""

    @property
    def word(self) -> str:
        return policy.target(self.place)


# -- the list ------------------------------------------------------------------------------------


@pages.get("/settings/rules")
@managers_only
def index() -> ResponseReturnValue:
    """Every rule, what it decides, and what keeps it from counting."""
    return _index(OptionsForm(formdata=None, obj=people.company()))


@pages.post("/settings/rules/options")
@managers_only
def options() -> ResponseReturnValue:
    """Store what belongs to no single rule."""
    form, company = OptionsForm(), people.company()
    if not form.validate():
        return _index(form, 422)
    changed = since(form, company, ("mixed_batches", "one_off"), "company")
    if changed:
        return _index(form, 409, changed)
    if not _store_options(form, company):
        return options()
    flash("Saved.", "good")
    return see_other(url_for(".index"))


def _store_options(form: OptionsForm, company: Company) -> bool:
    before = company.mixed_batches, company.one_off
    company.mixed_batches, company.one_off = form.mixed_batches.data, form.one_off.data
    if (company.mixed_batches, company.one_off) != before:
        words = [_chosen(one) for one in (form.mixed_batches, form.one_off)]
        text = f"Batches over several branches: {words[0]}. Another sender for once: {words[1]}."
        history.note(policy.POLICY, 0, text, current_user.name)
    return commit()


def _chosen(field: RadioField) -> str:
    return next(str(one.label) for one in field.choices if one.value == field.data)


def _index(
    form: OptionsForm, status: int = 200, changed: Meanwhile | None = None
) -> ResponseReturnValue:
    found = standing.overview(current_user.person)
    words, only = request.args.get("q", ""), request.args.get("only", "")
    named = [one for one in found if _named(one.rule.scope_name, words.casefold().split())]
    groups = {
        "": named,
        "waiting": [one for one in named if not one.ready],
        "shadowed": [one for one in named if one.shadow is not None],
    }
    plain = not any(one.rule.key == (Scope.COMPANY, 0, None) for one in found)
    return page(
        "settings/rules.html",
        "found",
        status,
        found=groups.get(only, named)[:SHOWN],
        most=SHOWN,
        groups={group: len(rules) for group, rules in groups.items()},
        only=only if only in groups else "",
        query=words,
        several=len(found) > FEW,
        built_in=_built_in() if plain and not words and not only else None,
        form=form,
        changed=changed,
        changes=history.of(policy.POLICY, 0, limit=TOLD),
        words=senders.source,
        **modes.shown(),
    )


def _built_in() -> Choice:
    """What holds while nobody has made a rule for everything."""
    return Scene(stored=()).choose(policy.case_at("invoice", COMPANY, current_user.person))


# -- one rule ------------------------------------------------------------------------------------


@pages.get("/settings/rules/new")
@managers_only
def new() -> ResponseReturnValue:
    """Where is the rule for? Then, once a place is chosen, what it says."""
    place = policy.place_named(request.args.get("place", ""))
    if place is None:
        return _where_page()
    if place == COMPANY:
        return see_other(url_for("policy.edit"))
    wish = modes.read(request.args)
    kind = _kind(request.args.get("kind", EVERY_KIND))
    if wish.mode not in choosable():
        wish = modes.as_stored(None)
    return _form_page(place, kind, wish if "listed" in request.args else modes.suggested(wish))


@pages.post("/settings/rules")
@managers_only
def create() -> ResponseReturnValue:
    """Store a rule for a place and a kind that has none yet."""
    place = policy.place_named(request.form.get("place", "")) or abort(400)
    kind, wish = _kind(request.form.get("kind", EVERY_KIND)), _wish()
    there = policy.stored_at(kind, place)
    if there is not None:
        return _form_page(place, kind, wish, 409, taken=there)
    if wish.problems:
        return _form_page(place, kind, wish, 422)
    if not modes.keep(wish, kind, place):
        return _form_page(place, kind, wish, 409, taken=policy.stored_at(kind, place))
    return _kept(kind, place)


@pages.get("/settings/rules/<int:rule_id>")
@managers_only
def edit(rule_id: int) -> ResponseReturnValue:
    """The rule as it stands, with live samples."""
    stored = _stored(rule_id)
    asked = modes.read(request.args)
    wish = asked if asked.mode in choosable() else modes.as_stored(stored.as_rule())
    wish = wish if "listed" in request.args else modes.suggested(wish)
    return _form_page(stored.place, stored.kind, wish, stored=stored)


@pages.post("/settings/rules/<int:rule_id>")
@managers_only
def update(rule_id: int) -> ResponseReturnValue:
    """Let the rule say something else."""
    stored, wish = _stored(rule_id), _wish()
    kind, place = stored.kind, stored.place
    if wish.problems:
        return _form_page(place, kind, wish, 422, stored=stored)
    changed = modes.meanwhile(wish, kind, place)
    if changed or not modes.keep(wish, kind, place):
        changed = changed or modes.meanwhile(wish, kind, place)
        return _form_page(place, kind, wish, 409, stored=_stored(rule_id), changed=changed)
    return _kept(kind, place)


@pages.post("/settings/rules/<int:rule_id>/removal")
@managers_only
def remove(rule_id: int) -> ResponseReturnValue:
    """Let the place follow the wider rule again."""
    stored = db.session.get(SenderRule, rule_id)
    if stored is not None:
        place, kind = stored.place, stored.kind
        policy.drop_rule(kind, place, actor=current_user.name)
        flash(f"{_about(kind, place)} now follow the next wider rule.", "good")
    return see_other(url_for(".index"))


def _kept(kind: str, place: Place) -> ResponseReturnValue:
    rule = policy.rule(kind, place)
    comes = senders.source(rule) if rule else "the next wider rule"
    flash(f"Saved. {_about(kind, place)} now come from {comes}.", "good")
    return see_other(url_for(".index"))


def _about(kind: str, place: Place) -> str:
    what = KINDS[kind].plural if kind else "All documents"
    return what if place == COMPANY else f"{what} of {policy.where(place)}"


def _wish() -> Wish:
    """What the form says; it holds no mode that cannot be chosen."""
    if request.form.get("mode") not in choosable():
        abort(400)
    return modes.checked(modes.read(request.form))


def _kind(kind: str) -> str:
    return kind if kind == EVERY_KIND or kind in KINDS else abort(404)


def _stored(rule_id: int) -> SenderRule:
    return db.session.get(SenderRule, rule_id, populate_existing=True) or abort(404)


def _form_page(
    place: Place,
    kind: str,
    wish: Wish,
    status: int = 200,
    *,
    stored: SenderRule | None = None,
    taken: SenderRule | None = None,
    changed: Meanwhile | None = None,
) -> ResponseReturnValue:
    return page(
        "settings/rule.html",
        "choices",
        status,
        place=place,
        place_word=policy.target(place),
        where=policy.where(place),
        kind=kind,
        wish=wish,
        stored=stored,
        taken=taken,
        changed=changed,
        seen=modes.mark(kind, place) if stored else "",
        cards=modes.cards(kind, wish, current_user, place),
        ruled={one.kind or EVERY_KIND for one in policy.rules([place]) if one.place == place},
        **modes.shown(),
    )


# -- finding a place -----------------------------------------------------------------------------


def _where_page() -> ResponseReturnValue:
    words = request.args.get("q", "")
    return page(
        "settings/rule_where.html",
        "found",
        words=words,
        offers=_offers(words),
        regions=places.regions(),
        kind=_kind(request.args.get("kind", EVERY_KIND)),
    )


def _offers(words: str, *, branches: bool = False) -> list[Offer]:
    """Customers and properties found by words, and branches where those are asked for too."""
    if not words.strip():
        return []
    sites = properties.found(properties.Filters(words=words), size=OFFERED).properties
    customers = people.find_contacts(words, USUAL_FOR["customer"], limit=OFFERED)
    wanted = words.casefold().split()
    near = [one for one in places.branches() if branches and _named(one.name, wanted)]
    return [
        *(Offer(Place(Scope.BRANCH, one.id, one.name), one.region.name) for one in near),
        *(Offer(Place(Scope.PROPERTY, one.id, one.name), one.customer.name) for one in sites),
        *(Offer(Place(Scope.CUSTOMER, one.id, one.name), one.email) for one in customers),
    ]


def _named(name: str, words: list[str]) -> bool:
    return all(word in name.casefold() for word in words)


# -- trying it out -------------------------------------------------------------------------------


@pages.get("/settings/simulator")
@managers_only
def simulator() -> ResponseReturnValue:
    """Who a document would come from, and how that is decided. The address holds the question."""
    kind = request.args.get("kind", "invoice")
    kind = kind if kind in KINDS else "invoice"
    person, place = _person(), policy.place_named(_asked_place()) or COMPANY
    several = bool(request.args.get("several")) and people.company().mixed_batches == "company"
    case = policy.case_at(kind, place, person.person, company_only=several)
    choice = Scene().choose(case)
    words = request.args.get("q", "")
    return page(
        "settings/simulator.html",
        "answer",
        kind=KINDS[kind],
        person=person,
        people=active_people(),
        place=place,
        place_word=policy.target(place),
        several=several,
        choice=choice,
        fix=modes.fix_for(choice, place),
        headline=_headline(KINDS[kind].label.lower(), place, person, choice),
        rungs=explain(case, policy.rules(case.places)),
        words=words,
        offers=_offers(words, branches=True),
        source=senders.source,
        target=policy.target,
        ids={one.target + "/" + one.kind: one.id for one in _rows(case.places)},
    )


def _rows(chain: tuple[Place, ...]) -> list[SenderRule]:
    return policy.rows_at((COMPANY, *chain))


def _asked_place() -> str:
    """place=property:7, or one of property=, customer=, branch= and region= by number."""
    for scope in ("property", "customer", "branch", "region"):
        if number := request.args.get(scope):
            return f"{scope}:{number}"
    return request.args.get("place", "")


def _person() -> User:
    """Who sends it: the one asked for, else who looks at the page."""
    wanted = request.args.get("person", type=int)
    found: User = next((one for one in active_people() if one.id == wanted), current_user)
    return found


def _headline(kind: str, place: Place, person: User, choice: Choice) -> str:
    """The question and its answer in one sentence."""
    article = "An" if kind[0] in "aeiou" else "A"
    at = "" if place == COMPANY else f" for {place.name}"
    comes = choice.sender.email if choice.sender else "nobody yet"
    return f"{article} {kind}{at}, sent by {person.name}, comes from {comes}."
