"""dubbo-go's map of interfaces, which servers publish in a label of their node: a JSON object in a string,
``providers:<interface>:<version>:<group>`` to ``host:port``. Written and read here and nowhere else.

What others write may be wrong in any way: what cannot be read is named, and the rest counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from meshkit.rpc.dubbo import ServiceKey

from .strategy import HostPort

__all__ = ["LABEL", "read_map", "write_map"]

LABEL = "DUBBO_GO"
"""The label's name."""

_PROVIDERS = "providers"


def write_map(served: Iterable[tuple[ServiceKey, HostPort]]) -> str:
    """The label's value for what is served where."""
    entries = {f"{_PROVIDERS}:{key.interface}:{key.version}:{key.group}": str(place) for key, place in served}
    return json.dumps(entries, sort_keys=True)


def read_map(text: str, fault: Callable[[str], object]) -> Iterator[tuple[ServiceKey, HostPort]]:
    """What a label's value says is served where; ``fault`` is told of what makes no sense. "" says nothing."""
    for key, value in _entries(text, fault).items():
        role, *parts = key.split(":")
        place = HostPort.parse(value) if isinstance(value, str) else None
        if role != _PROVIDERS or len(parts) != 3 or not parts[0] or place is None:
            fault(f"{LABEL}: cannot read {key!r}: {value!r}")
        else:
            interface, version, group = parts
            yield ServiceKey(interface, group, version), place


def _entries(text: str, fault: Callable[[str], object]) -> dict[str, Any]:
    try:
        value: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    fault(f"{LABEL}: expected a JSON object")
    return {}
