"""How the demo shows itself: a table that redraws on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from types import TracebackType
from typing import Protocol, Self

from meshkit.cli.demo.load import Load

__all__ = ["Screen", "screen"]


class Screen(Protocol):
    """Shows phases as they go by; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def begin(self, title: str) -> None:
        """A phase starts."""
        ...

    def tick(self, load: Load) -> None:
        """Time to show the state of the calls."""
        ...

    def end(self, verdict: str) -> None:
        """A phase is over: ``verdict`` says what was wrong, or nothing."""
        ...


def screen() -> Screen:
    """The screen that suits where stdout goes."""
    return _Table() if sys.stdout.isatty() else _Lines()


def _who(load: Load) -> list[tuple[str, int, int]]:
    """Who answers, with plain and admin calls of the phase, sorted by name."""
    tally = load.tally
    names: Counter[str] = tally.plain + tally.admin
    return [(name, tally.plain[name], tally.admin[name]) for name in sorted(names)]


class _Lines:
    def __init__(self) -> None:
        self._title = ""
        self._load: Load | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, title: str) -> None:
        self._title = title

    def tick(self, load: Load) -> None:
        self._load = load

    def end(self, verdict: str) -> None:
        shares = "" if self._load is None else _in_words(self._load)
        print(f"{'FAILED' if verdict else 'ok':6} {self._title}: {verdict or shares}", flush=True)


def _in_words(load: Load) -> str:
    parts = [f"{name.rpartition(' ')[0]} {plain}+{admin}" for name, plain, admin in _who(load)]
    return f"{', '.join(parts)} (plain+admin calls), {len(load.tally.errors)} failed"


class _Table:
    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(refresh_per_second=10)
        self._done: list[tuple[str, str, str]] = []
        self._title = ""
        self._load: Load | None = None

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def begin(self, title: str) -> None:
        self._title = title
        self._draw()

    def tick(self, load: Load) -> None:
        self._load = load
        self._draw()

    def end(self, verdict: str) -> None:
        shares = "" if self._load is None else _in_words(self._load)
        self._done.append(("[red]FAILED" if verdict else "[green]ok", self._title, verdict or shares))
        self._title = ""
        self._draw()

    def _draw(self) -> None:
        from rich.table import Table

        table = Table(title="meshkit demo: 500 calls/s", title_justify="left", expand=True)
        for heading in ("", "phase", "who answers"):
            table.add_column(heading)
        for row in self._done:
            table.add_row(*row)
        if self._title:
            table.add_row("[yellow]...", self._title, _in_words(self._load) if self._load else "")
        self._live.update(table)
