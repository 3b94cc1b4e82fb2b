"""The record of a run: JSON that is kept, and the README's table and picture, which are made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.picture import picture
from benchmarks.report import Row, machine, table

FOLDER = Path(__file__).parent
README, PICTURE = FOLDER / "README.md", FOLDER / "figures.svg"
_BEGIN, _END = "<!-- recorded: begin -->", "<!-- recorded: end -->"


@dataclass(frozen=True, slots=True)
class Record:
    """What was run (``names`` of benchmarks), when (UTC), where (`machine`), in which form, and the rows it gave."""

    names: tuple[str, ...]
    when: str
    machine: str
    quick: bool
    rows: tuple[Row, ...]


def taken(names: Sequence[str], quick: bool, rows: Sequence[Row]) -> Record:
    """A record of ``rows``, taken now and here."""
    return Record(tuple(names), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine(), quick, tuple(rows))


def write(record: Record, path: Path) -> None:
    """``record`` as JSON; what is not set is left out."""
    data = asdict(record)
    data["rows"] = [{name: value for name, value in row.items() if value not in (None, "")} for row in data["rows"]]
    path.write_text(json.dumps(data, indent=1) + "\n")


def read(path: Path) -> Record:
    """What `write` wrote. Raises ValueError, which names ``path``, for anything else."""
    try:
        data = json.loads(path.read_text())
        rows = tuple(Row(**{"value": None, "unit": "", **row}) for row in data.pop("rows"))
        return Record(**{**data, "names": tuple(data["names"]), "rows": rows})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no record of benchmarks ({error}); write one with --json") from error


def section(record: Record) -> str:
    """The README's generated part."""
    met = sum(row.ok is True for row in record.rows)
    goals = met + sum(row.ok is False for row in record.rows)
    command = " ".join(["python -m benchmarks", *record.names, *(["--quick"] if record.quick else [])])
    lines = [
        f"Recorded {record.when} by `{command}` on {record.machine}.",
        f"{met} of {goals} goals met. `rounds` is the slowest and the fastest of the rounds whose median the value is.",
        f"![the recorded figures as bars]({PICTURE.name})",
        table(record.rows),
    ]
    return "\n\n".join(lines)


def publish(record: Record) -> None:
    """Write the README's generated part and the picture anew."""
    before, _, rest = README.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text(f"{before}{_BEGIN}\n\n{section(record)}\n\n{_END}{after}")
    PICTURE.write_text(picture(record.rows))
