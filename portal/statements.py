"""Statements: SQL that runs with every mail, put into the store's words once.

SQLAlchemy writes it and knows how each value is stored; carrying it out then costs what the driver
costs. It runs in the transaction of the connection that it is given.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from portal.stores import IN_BINARY

Convert = Callable[[Any], Any]


class Statement:
    """One statement, with bindparam() where its values go. Those may not stand beside an IN.

    in_binary: PostgreSQL tells what it returns in its own form, not written out.
    """

    def __init__(self, made: Executable, *, in_binary: bool = False) -> None:
        self._made, self._options = made, {IN_BINARY: True} if in_binary else None
        self._worded: dict[str, _Worded] = {}
        self._lock = threading.Lock()

    def changed(self, on: Connection, **values: Any) -> int:
        """Carry it out; how many rows it changed."""
        worded = self._in_words_of(on.dialect)
        return on.exec_driver_sql(worded.text, worded.parameters(values)).rowcount

    def rows(self, on: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Carry it out; what it returned."""
        worded = self._in_words_of(on.dialect)
        asked = worded.text, worded.parameters(values)
        found = on.exec_driver_sql(*asked, self._options).fetchall()
        return [worded.read(one) for one in found]

    def first(self, on: Connection, **values: Any) -> tuple[Any, ...] | None:
        """The first row of what it returned; None where it returned none."""
        found = self.rows(on, **values)
        return found[0] if found else None

    def _in_words_of(self, dialect: Dialect) -> "_Worded":
        worded = self._worded.get(dialect.name)
        if worded is None:
            with self._lock:
                worded = self._worded[dialect.name] = _Worded(self._made, dialect)
        return worded


class _Worded:
    """A statement as one sort of store takes it, and how its values are stored there."""

    def __init__(self, made: Executable, dialect: Dialect) -> None:
        compiled = cast("ClauseElement", made).compile(
            dialect=dialect, compile_kwargs={"render_postcompile": True}
        )
        assert isinstance(compiled, SQLCompiler)
        self.text = compiled.string
        self._places = compiled.positiontup
        stored = {name: _storing(bind, dialect) for name, bind in compiled.binds.items()}
        self._fixed: dict[str, Any] = {}
        self._asked: dict[str, Convert | None] = {}
        for name, value in compiled.params.items():
            if name in compiled.binds and compiled.binds[name].required:
                self._asked[name] = stored[name]
            else:
                convert = stored.get(name)
                self._fixed[name] = convert(value) if convert else value
        columns = getattr(made, "exported_columns", ())
        self._reading = [
            one.type.dialect_impl(dialect).result_processor(dialect, None) for one in columns
        ]
        self._as_it_is = not any(self._reading)

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them: in the order of their places, or by name."""
        given = dict(self._fixed)
        for name, convert in self._asked.items():
            value = values[name]
            given[name] = convert(value) if convert else value
        if self._places is None:
            return given
        return tuple([given[name] for name in self._places])

    def read(self, row: Any) -> tuple[Any, ...]:
        """A row as the types of its columns read it."""
        if self._as_it_is:
            return tuple(row)
        pairs = zip(self._reading, row, strict=True)
        return tuple([read(value) if read else value for read, value in pairs])


def _storing(bind: Any, dialect: Dialect) -> Convert | None:
    found: Convert | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return found
