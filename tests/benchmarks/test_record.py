"""The record of a run and what is made of it: the README's table and the picture."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import record
from benchmarks.picture import picture
from benchmarks.report import absent, at_least, at_most, figure, table

ROWS = [
    figure("unary: meshkit", [300.0, 100.0, 200.0], "calls/s"),
    figure("unary: grpc <aio>", 20.0, "calls/s", "a note"),
    at_least("unary: meshkit / grpc <aio>", [9.0, 10.0, 11.0], "x", 10),
    at_most("memory", 41.0, "KiB", 40),
    absent("unary: grpc-go", "needs Go"),
]


def test_the_readme_and_the_picture_are_made_of_the_record() -> None:
    recorded = record.read(record.FOLDER / "recorded.json")
    assert record.section(recorded) in record.README.read_text()
    assert record.PICTURE.read_text() == picture(recorded.rows)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    taken = record.taken(["stack"], True, ROWS)
    record.write(taken, tmp_path / "record.json")
    assert record.read(tmp_path / "record.json") == taken


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [1]}', '{"rows": []}', '{"rows": [{"nome": 1}]}'])
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is no record of benchmarks"):
        record.read(tmp_path / "other.json")


def test_the_table_shows_medians_spread_goals_and_what_is_missing() -> None:
    assert table(ROWS).splitlines()[2:] == [
        "| unary: meshkit | 200 calls/s | 100 .. 300 |  |  |",
        "| unary: grpc <aio> | 20 calls/s |  |  | a note |",
        "| unary: meshkit / grpc <aio> | 10 x | 9 .. 11 | >= 10 | ok |",
        "| memory | 41 KiB |  | <= 40 | **missed** |",
        "| unary: grpc-go | not measured |  |  | needs Go |",
    ]


def test_the_picture_has_a_bar_for_each_stack() -> None:
    drawn = ElementTree.fromstring(picture(ROWS))
    bars = [one for one in drawn.iter("{http://www.w3.org/2000/svg}rect") if one.get("height") == "18"]
    assert [int(bar.get("width", "")) for bar in bars] == [290, 29]
    assert "meshkit / grpc <aio>: 10 x (>= 10)" in [one.text for one in drawn.iter()]


def test_report_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    words = [sys.executable, "-m", "benchmarks", "report", str(tmp_path / "bad.json")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("write one with --json")
    assert len(done.stderr.splitlines()) == 1


def test_a_record_holds_nothing_that_is_not_set(tmp_path: Path) -> None:
    record.write(record.taken([], False, ROWS[:1]), tmp_path / "record.json")
    (row,) = json.loads((tmp_path / "record.json").read_text())["rows"]
    assert row == {"name": "unary: meshkit", "value": 200.0, "unit": "calls/s", "low": 100.0, "high": 300.0}
