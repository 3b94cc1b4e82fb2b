"""Shapes: small readers from YAML nodes to typed values, put together into the tables of `virtual_service` and others.

A shape gets a node and the place it stands at, and returns a value or reports what it expected and raises `Invalid`.
`record`, `list_of` and `map_of` read on past an invalid part, so one look at a file finds everything wrong with it.
Numbers and booleans are never taken for text: ``version: 1`` in labels is an error here as it is in Kubernetes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .documents import describe, line_of, mapping_entries, scalar
from .problems import Problem, Severity

__all__ = [
    "Field",
    "Invalid",
    "Place",
    "Report",
    "Shape",
    "boolean",
    "checked",
    "choice",
    "duration",
    "integer",
    "list_of",
    "map_of",
    "number",
    "only",
    "record",
    "text",
]

T = TypeVar("T")
K = TypeVar("K")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|us|s)")
_LONGEST = 315_576_000_000  # seconds in a google.protobuf.Duration
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


class Invalid(Exception):
    """The value cannot be built; why has been reported."""


@dataclass(slots=True)
class Report:
    """Collects what is found about one document."""

    file: str
    base: int = 0
    resource: str = ""
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, node: Node, path: str, words: str, severity: Severity = Severity.ERROR) -> None:
        """Note one finding at ``node``."""
        self.problems.append(Problem(self.file, line_of(node, self.base), path, words, self.resource, severity))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shape reads: the report to write to and the path of fields from the document's root."""

    report: Report
    path: str = ""

    def at(self, name: str) -> Place:
        """The place of a field."""
        return Place(self.report, f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> Place:
        """The place of a list's item."""
        return Place(self.report, f"{self.path}[{index}]")

    def fail(self, node: Node, expected: str) -> NoReturn:
        """Report that ``expected`` was not found here."""
        self.report.add(node, self.path, f"expected {expected}, found {describe(node)}")
        raise Invalid

    def wrong(self, node: Node, words: str) -> NoReturn:
        """Report something else that is wrong here."""
        self.report.add(node, self.path, words)
        raise Invalid


Shape = Callable[[Node, Place], T]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a `record`: the argument it becomes and the shape of its value."""

    argument: str
    shape: Shape[Any]
    required: bool = False


def _value(node: Node) -> object:
    return scalar(node) if isinstance(node, ScalarNode) else node


def text(node: Node, place: Place) -> str:
    """Text that is not empty."""
    value = _value(node)
    if isinstance(value, bool | int | float):
        place.wrong(node, f"expected text, found {describe(node)}; put it in quotes")
    return value if isinstance(value, str) and value else place.fail(node, "text")


def boolean(node: Node, place: Place) -> bool:
    """``true`` or ``false``, as YAML 1.2 has them."""
    value = _value(node)
    return value if isinstance(value, bool) else place.fail(node, "true or false")


def integer(low: int, high: int) -> Shape[int]:
    """A whole number within bounds, both included."""

    def read(node: Node, place: Place) -> int:
        value = _value(node)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        return place.fail(node, f"a whole number from {low} to {high}")

    return read


def number(low: float, high: float) -> Shape[float]:
    """A number within bounds, both included."""

    def read(node: Node, place: Place) -> float:
        value = _value(node)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        return place.fail(node, f"a number from {low:g} to {high:g}")

    return read


def choice(*names: str) -> Shape[str]:
    """One word of several."""

    def read(node: Node, place: Place) -> str:
        value = _value(node)
        if isinstance(value, str) and value in names:
            return value
        return place.fail(node, f"one of {', '.join(names)}")

    return read


def duration(node: Node, place: Place) -> timedelta:
    """A time such as ``1.5s``, ``300ms`` or ``1h30m``."""
    value = _value(node)
    if isinstance(value, str) and value:
        seconds, end = 0.0, 0
        for match in _DURATION.finditer(value):
            if match.start() != end:
                break
            seconds, end = seconds + float(match[1]) * _UNITS[match[2]], match.end()
        if end == len(value) and seconds <= _LONGEST:
            return timedelta(seconds=seconds)
    return place.fail(node, "a duration such as 1.5s, 300ms or 1h30m")


def list_of(shape: Shape[T], *, at_least: int = 0) -> Shape[tuple[T, ...]]:
    """A list, as a tuple."""

    def read(node: Node, place: Place) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            place.fail(node, "a list")
        if len(node.value) < at_least:
            place.wrong(node, f"expected a list of at least {at_least}")
        return _all_of([partial(shape, item, place.item(index)) for index, item in enumerate(node.value)])

    return read


def map_of(shape: Shape[T]) -> Shape[dict[str, T]]:
    """A mapping from any name to values of one shape."""

    def read(node: Node, place: Place) -> dict[str, T]:
        names, values = _entries(node, place)
        read_values = _all_of([partial(shape, v, place.at(n)) for n, v in zip(names, values, strict=True)])
        return dict(zip(names, read_values, strict=True))

    return read


def _entries(node: Node, place: Place) -> tuple[list[str], list[Node]]:
    if not isinstance(node, MappingNode):
        place.fail(node, "a mapping")
    entries, repeated = mapping_entries(node)
    for entry in repeated:
        place.report.add(entry.key, place.at(entry.name).path, "this key is here twice")
    if repeated:
        raise Invalid
    return [entry.name for entry in entries], [entry.value for entry in entries]


def _all_of(thunks: Sequence[Callable[[], T]]) -> tuple[T, ...]:
    """Every value, or `Invalid` once all have been read."""
    values: list[T] = []
    failed = False
    for thunk in thunks:
        try:
            values.append(thunk())
        except Invalid:
            failed = True
    if failed:
        raise Invalid
    return tuple(values)


def record(
    build: Callable[..., T], fields: Mapping[str, Field], *, unsupported: Sequence[str] = (), one_of: Sequence[str] = ()
) -> Shape[T]:
    """A mapping with known fields, given to ``build`` as keyword arguments; a field set to nothing counts as absent.

    ``unsupported`` fields exist in Istio and are reported by name; exactly one of ``one_of`` must be there.
    Any other name is an error that says which names there are.
    """
    rest = frozenset(unsupported)

    def read(node: Node, place: Place) -> T:
        names, values = _entries(node, place)
        given = {n: v for n, v in zip(names, values, strict=True) if _value(v) is not None}
        thunks: list[Callable[[], Any]] = []
        arguments: list[str] = []
        for name, value in given.items():
            if (known := fields.get(name)) is not None:
                arguments.append(known.argument)
                thunks.append(partial(known.shape, value, place.at(name)))
            elif name in rest:
                words = "not supported by this control plane, ignored"
                place.report.add(value, place.at(name).path, words, Severity.UNSUPPORTED)
            else:
                thunks.append(partial(place.at(name).wrong, value, _unknown(name, fields, rest)))
        thunks.append(partial(_check_presence, node, place, given, fields, one_of))
        read_values = _all_of(thunks)
        return build(**dict(zip(arguments, read_values, strict=False)))

    return read


def only(name: str, shape: Shape[T]) -> Shape[T]:
    """A mapping with one field, which must be there and stands for the whole."""

    def build(value: T) -> T:
        return value

    return record(build, {name: Field("value", shape, required=True)})


def _unknown(name: str, fields: Mapping[str, Field], unsupported: frozenset[str]) -> str:
    names = sorted({*fields, *unsupported})
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown field, expected one of {', '.join(names)}{hint}"


def _check_presence(
    node: Node, place: Place, given: Mapping[str, Node], fields: Mapping[str, Field], one_of: Sequence[str]
) -> None:
    missing = [name for name, known in fields.items() if known.required and name not in given]
    if missing:
        place.wrong(node, f"expected {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} missing")
    if one_of and len(set(one_of) & set(given)) != 1:
        place.wrong(node, f"expected exactly one of {', '.join(one_of)}")


def checked(shape: Shape[T], check: Callable[[T], str]) -> Shape[T]:
    """``shape`` with one more rule: ``check`` returns what is wrong with the value, or nothing."""

    def read(node: Node, place: Place) -> T:
        value = shape(node, place)
        if words := check(value):
            place.wrong(node, words)
        return value

    return read
