"""The table tells what was reached from what was missed, and keeps what came out."""

from pathlib import Path

import pytest

from tests.bench import table
from tests.bench.row import Row

PAGE = """# Benchmarks

<!-- quota -->

old

<!-- end quota -->

<!-- fair -->
<!-- end fair -->
"""


def test_a_mark_is_reached_or_missed_by_the_figure_beside_it() -> None:
    reached = Row("share of the quota", "0.76/s", figure=0.98, mark=">= 0.97")
    missed = Row("a quote amid invoices", "12 s", figure=12.0, mark="<= 10")
    told = Row("the click itself", "0.1 s")
    assert [one.verdict for one in (reached, missed, told)] == ["pass", "MISS", ""]


def test_a_peer_that_is_absent_neither_reaches_nor_misses() -> None:
    assert Row("portal ÷ Postfix", "90/s", "absent: no Debian", mark=">= 1.5").met is None


def test_what_is_kept_takes_the_place_of_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "benchmarks.md"
    kept.write_text(PAGE)
    monkeypatch.setattr(table, "KEPT", kept)
    table.keep("quota", [Row("share", "0.76/s", "0.77/s", 0.98, ">= 0.97")])
    table.keep("quota", [Row("share", "0.77/s", "0.77/s", 0.99, ">= 0.97")])
    page = kept.read_text()
    assert "| share | 0.77/s | 0.77/s | 0.990 | >= 0.97 | pass |" in page
    assert "old" not in page
    assert "0.980" not in page
    assert "cores" in page
    assert page.count("<!-- end fair -->") == 1


def test_every_part_of_the_table_has_its_place_on_the_page() -> None:
    page = table.KEPT.read_text()
    for part in table.PARTS:
        assert page.count(f"<!-- {part} -->") == page.count(f"<!-- end {part} -->") == 1, part
