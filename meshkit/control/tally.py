"""What the control plane counts, and how it is written for Prometheus
(https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Gauge", "Tally"]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure as it is now."""

    name: str
    help: str
    value: float


@dataclass(slots=True)
class Tally:
    """Counts since the start, by type of resource where that matters."""

    pushes: Counter[str] = field(default_factory=Counter[str])
    resources: Counter[str] = field(default_factory=Counter[str])
    rejects: Counter[str] = field(default_factory=Counter[str])
    requests: Counter[str] = field(default_factory=Counter[str])
    streams: int = 0
    reloads: int = 0

    def text(self, gauges: Iterable[Gauge] = ()) -> str:
        """Everything in Prometheus' text format."""
        lines: list[str] = []
        _by_type(lines, "pushes_total", "Responses sent to clients", self.pushes)
        _by_type(lines, "resources_total", "Resources sent to clients", self.resources)
        _by_type(lines, "rejects_total", "Responses that clients rejected", self.rejects)
        _by_type(lines, "requests_total", "Requests of clients, acknowledgements among them", self.requests)
        _plain(lines, "streams_total", "Streams opened", "counter", self.streams)
        _plain(lines, "reloads_total", "Changes of the configuration taken in", "counter", self.reloads)
        for gauge in gauges:
            _plain(lines, gauge.name, gauge.help, "gauge", gauge.value)
        return "\n".join(lines) + "\n"


def _by_type(lines: list[str], name: str, words: str, counts: Mapping[str, int]) -> None:
    lines += [f"# HELP meshkit_control_{name} {words}.", f"# TYPE meshkit_control_{name} counter"]
    lines += [f'meshkit_control_{name}{{type="{kind}"}} {count}' for kind, count in sorted(counts.items())]


def _plain(lines: list[str], name: str, words: str, kind: str, value: float) -> None:
    lines += [f"# HELP meshkit_control_{name} {words}.", f"# TYPE meshkit_control_{name} {kind}"]
    lines.append(f"meshkit_control_{name} {value:g}")
