"""Fields: what people type into forms, and the one sentence they read when it cannot be taken.

A field keeps what was typed, however wrong, so that it can be put right where it stands.
"""

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from wtforms import Field, StringField, ValidationError
from wtforms.widgets import TextInput

from portal.people import BadAddress, addresses_in, clean_address

_MARKS = re.compile(r"[\s\u00a0\u202f]|[$€£]|^(AUD|NZD|USD|EUR|GBP)")
_NUMBER = re.compile(r"-?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?", re.ASCII)
_DAY = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})", re.ASCII)
#: Control characters, line ends that no field means, what turns the direction of writing around (it
#: would show "cod.exe" as "exe.doc"), and halves of characters.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
NO_AMOUNT = "not an amount. Write it like 1240.00."
NO_NUMBER = "not a number. Write it like 1.5."
FIRST_YEAR, LAST_YEAR = 2000, 2100


def number(typed: str, places: int, most: Decimal, wrong: str = NO_AMOUNT) -> Decimal:
    """1240, 1,240.00, $1,240.00 or -50. A comma is only ever between thousands.

    "1.240,00" and "12,5" are refused, not guessed: one of the two readings is a hundred times the
    other. Raises ValueError with the sentence to show.
    """
    bare = _MARKS.sub("", typed.replace("\u2212", "-"))
    if not _NUMBER.fullmatch(bare) or not any(char.isdigit() for char in bare):
        raise ValueError(f"“{typed.strip()[:40]}” is {wrong}")
    found = Decimal(bare.replace(",", ""))
    if abs(found) > most:
        raise ValueError(f"“{typed.strip()[:40]}” is too large. The most is {most:,}.")
    if found != round(found, places):
        raise ValueError(f"Write at most {places} digits after the point.")
    return found


def day(typed: str) -> dt.date:
    """2026-11-23, as browsers send it, or 23/11/2026. Raises ValueError with the sentence."""
    wrong = f"“{typed.strip()[:40]}” is not a date. Write it like 23/11/2026."
    local = _DAY.fullmatch(typed.strip())
    try:
        if local:
            found = dt.date(int(local[3]), int(local[2]), int(local[1]))
        else:
            found = dt.date.fromisoformat(typed.strip())
    except ValueError:
        raise ValueError(wrong) from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"The year {found.year} cannot be right.")
    return found


class Typed(Field):  # type: ignore[misc]
    """A text box whose words are read as something else. Subclasses read and write."""

    widget = TextInput()

    def __init__(self, label: str, *, required: str = "", empty: Any = None, **more: Any) -> None:
        super().__init__(label, **more)
        self.required, self.empty = required, empty

    def read(self, typed: str) -> Any:
        raise NotImplementedError

    def write(self, data: Any) -> str:
        return str(data)

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else self.write(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        typed = valuelist[0] if valuelist else ""
        self.data = self.empty
        if typed.strip():
            self.data = self.read(typed)
        elif self.required:
            raise ValueError(self.required)


class NumberField(Typed):
    """A quantity or a percentage."""

    wrong = NO_NUMBER

    def __init__(self, label: str, *, places: int, most: int, **more: Any) -> None:
        super().__init__(label, **more)
        self.places, self.most = places, Decimal(most)

    def read(self, typed: str) -> Decimal:
        return number(typed.strip().rstrip("%"), self.places, self.most, self.wrong)

    def write(self, data: Decimal) -> str:
        whole = f"{data:f}"
        return whole.rstrip("0").rstrip(".") if "." in whole else whole


class PriceField(NumberField):
    """Money: written with its cents, and more digits only where they were meant."""

    wrong = NO_AMOUNT

    def write(self, data: Decimal) -> str:
        return f"{data:.2f}" if data == round(data, 2) else super().write(data)


class DayField(Typed):
    """A date, picked or typed."""

    def read(self, typed: str) -> dt.date:
        return day(typed)

    @property
    def type_now(self) -> str:
        """A date picker cannot show what is no date, so what was typed wrong stays as text."""
        return "text" if self.errors else "date"


class AddressField(Typed):
    """One e-mail address, or none."""

    def read(self, typed: str) -> str:
        return clean_address(typed)


class AddressesField(Typed):
    """Any number of e-mail addresses, by commas, semicolons or lines."""

    def read(self, typed: str) -> tuple[str, ...]:
        return addresses_in(typed)

    def write(self, data: tuple[str, ...]) -> str:
        return ", ".join(data)


def typed_address(typed: str) -> str:
    """The address cleaned where it can be, else as it was typed."""
    try:
        return clean_address(typed)
    except BadAddress:
        return typed


def stripped(text: str | None) -> str:
    """Without the blanks around it, and with one kind of line end."""
    return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()


def one_line(_form: object, field: Field) -> None:
    """A validator: a name, a number or a subject has no second line."""
    if "\n" in (field.data or ""):
        raise ValidationError(f"{field.label.text} must be a single line.")


def printable(_form: object, field: Field) -> None:
    """A validator: no characters that neither a page nor a paper can show."""
    if _UNPRINTABLE.search(field.data or ""):
        raise ValidationError(
            f"{field.label.text} holds a character that cannot be printed. Write it again by hand."
        )


class Most:
    """A validator: no longer than this."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, _form: object, field: Field) -> None:
        over = len(field.data or "") - self.length
        if over > 0:
            raise ValidationError(
                f"{field.label.text} is {over} characters too long; the most is {self.length}."
            )


class Line(StringField):  # type: ignore[misc]
    """A single line of text, trimmed."""

    def __init__(self, label: str, validators: Any = (), *, most: int = 200, **more: Any) -> None:
        checks = [*validators, one_line, printable, Most(most)]
        super().__init__(label, checks, filters=[stripped], **more)
