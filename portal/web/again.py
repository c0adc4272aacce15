"""Again: why somebody sends a document once more, as both pages that can do it ask for it."""

from typing import Any

from wtforms import RadioField

from portal.dispatch import Dispatch, State
from portal.web.fields import Line

OTHER = "other"
REASONS = {
    "missing": "They say it did not arrive",
    "asked": "They asked for it once more",
    "came_back": "It came back",
    "not_left": "The first one did not leave",
    "unclear": "Nobody could tell whether the first one left",
    "changed": "Something in it is different now",
    OTHER: "Another reason",
}
#: What may be the reason after each state, the likeliest first.
USUAL = {
    State.ACCEPTED: ("missing", "asked", "changed", OTHER),
    State.RETURNED: ("came_back", "changed", OTHER),
    State.REFUSED: ("not_left", "changed", OTHER),
    State.CANCELLED: ("not_left", "changed", OTHER),
    State.UNKNOWN: ("unclear", "missing", OTHER),
}
WAITING = ("changed", OTHER)
#: After these the likeliest reason is the reason, unless somebody says otherwise.
PLAIN = (State.RETURNED, State.REFUSED, State.CANCELLED, State.UNKNOWN)
LONGEST = 300


class AgainFields:
    """The reason: one of the usual ones, own words, or both."""

    why = RadioField("Why is it sent again?", choices=[], validate_choice=False)
    words = Line("In your own words", most=LONGEST)


def offer(form: Any, earlier: Dispatch, *, same: bool, form_id: str) -> None:
    """Let the form offer what may be the reason after this sending.

    same: whether the same message goes out, in which nothing can be different. form_id: the form's
    on its page, where the choices may stand outside it.
    """
    usual = _usual(earlier, same=same)
    form.why.choices = [(key, REASONS[key]) for key in usual]
    form.why.render_kw = form.words.render_kw = {"form": form_id}
    if form.why.data is None and _state(earlier) in PLAIN:
        form.why.data = usual[0]


def is_said(form: Any, earlier: Dispatch, *, same: bool) -> bool:
    """Whether a reason was given; else the form says what is missing. After form.validate()."""
    if form.why.data not in _usual(earlier, same=same):
        form.why.errors = ["Choose why it is sent again."]
    elif form.why.data == OTHER and not form.words.data:
        form.words.errors = ["Write why it is sent again."]
    return not form.why.errors and not form.words.errors


def reason(form: Any) -> str:
    """The reason as it is kept: one sentence, or two."""
    own = (form.words.data or "").rstrip(".")
    usual = "" if form.why.data == OTHER else REASONS.get(form.why.data, "")
    return "".join(f"{part}. " for part in (usual, own) if part).strip()


def _usual(earlier: Dispatch, *, same: bool) -> list[str]:
    offered = USUAL.get(_state(earlier), WAITING)
    return [one for one in offered if not (same and one == "changed")]


def _state(earlier: Dispatch) -> State:
    """What was never cleared up is as unclear as ever."""
    return State.UNKNOWN if earlier.never_known else State(earlier.state)
