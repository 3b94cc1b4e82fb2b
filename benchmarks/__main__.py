"""Run benchmarks by name, print one table, and write JSON and a picture; or make the README's table of a record.

``python -m benchmarks [NAME...] [--all] [--quick] [--pinned] [--json FILE] [--picture FILE]``
``python -m benchmarks report FILE``
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import cores, record
from benchmarks.picture import picture
from benchmarks.report import Row, absent, machine, table

NAMES = (
    "stack",
    "streams",
    "sidecars",
    "tls",
    "connections",
    "compat",
    "calls",
    "footprint",
    "route_pick",
    "codec",
    "pushes",
    "wire_engine",
)
ON_REQUEST = ("compiled", "istiod")  # only by name: these build for minutes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure meshkit beside its peers.")
    known = (*NAMES, *ON_REQUEST)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: all but {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--pinned", action="store_true", help="each end on a core of its own, in every run")
    parser.add_argument("--quick", action="store_true", help="shorter and noisier")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write a record, which `report FILE` publishes")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw the figures as SVG")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    names = known if options.all else options.names or NAMES
    cores.always = options.pinned
    print(machine(), flush=True)
    modules = {name: import_module(f"benchmarks.{name}") for name in names}
    rows = [row for name, module in modules.items() for row in _run(name, module, options.quick)]
    print(table(rows))
    if options.json:
        record.write(record.taken(names, options.quick, rows), options.json)
    if options.picture:
        options.picture.write_text(picture(rows))


def _run(name: str, module: ModuleType, quick: bool) -> Iterable[Row]:
    """The rows of one benchmark; where it fails, one that says so, as the others' minutes must not be lost."""
    print(f"... {name}", end=" ", flush=True)
    start = time.monotonic()
    try:
        found = [_row(row) for row in module.rows(quick)]
    except Exception as error:
        traceback.print_exc()
        return [absent(name, f"failed: {type(error).__name__}: {error}")]
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    return found


def _row(row: Any) -> Row:
    return row if isinstance(row, Row) else Row(**row)


def report(words: list[str]) -> None:
    """Write benchmarks/README.md's table and picture anew from the record in a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=report.__doc__)
    parser.add_argument("record", type=Path, metavar="FILE", help="what --json wrote")
    try:
        record.publish(record.read(parser.parse_args(words).record))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        report(sys.argv[2:])
    else:
        main()
