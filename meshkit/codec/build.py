"""How a decoded message becomes an object: the last lines of a decode function, and what they need."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from .schema import Schema

__all__ = ["builder", "maker", "twin"]

T = TypeVar("T")
Emitted = tuple[list[str], dict[str, Any]]


def twin(cls: type) -> type | None:
    """A mutable class with the memory layout of the frozen dataclass ``cls``; None when there can be none.

    Filling a twin and then changing its ``__class__`` makes a frozen object at the price of plain attribute stores;
    the dataclass's own ``__init__`` calls ``object.__setattr__`` for every field.
    """
    if cls.__mro__[1:] != (object,) or hasattr(cls, "__post_init__"):
        return None
    slots = cls.__dict__.get("__slots__")
    made: Any = type(cls.__name__, (), {} if slots is None else {"__slots__": slots})
    try:
        made().__class__ = cls
    except TypeError:
        return None
    return cast(type, made)


def maker(cls: type[T]) -> Callable[..., T]:
    """A fast constructor of the frozen dataclass ``cls``: all its fields, positionally, no defaults.

    For use inside a `Schema.build`: several times faster than calling the class.
    """
    names = [field.name for field in dataclasses.fields(cast(Any, cls))]
    lines, scope = _stores(cls, [(name, name) for name in names])
    text = "\n    ".join([f"def make({', '.join(names)}):", *lines])
    exec(text, scope)
    return cast("Callable[..., T]", scope["make"])


def builder(schema: Schema, values: list[tuple[str, str]]) -> Emitted:
    """Lines that return the object from ``values`` (field name, expression), and the names they use."""
    build: Any = schema.build or _tuple_class(schema.type_name, [name for name, _ in values])
    if isinstance(build, type) and dataclasses.is_dataclass(build):
        return _stores(build, _with_defaults(build, values))
    arguments = "".join(f"{expression}, " for _, expression in values)
    if isinstance(build, type) and issubclass(build, tuple):
        return [f"return new_tuple(CLS, ({arguments}))"], {"new_tuple": cast(Any, tuple).__new__, "CLS": build}
    return [f"return build({arguments})"], {"build": build}


def _tuple_class(name: str, fields: list[str]) -> Any:
    make: Any = collections.namedtuple  # its fields are known at run time only
    return make(re.sub(r"\W", "_", name), fields)


def _with_defaults(cls: Any, values: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """``values`` in the order of the dataclass; fields that the table does not have get the dataclass's default."""
    given = dict(values)
    fields = dataclasses.fields(cls)
    unknown = given.keys() - {field.name for field in fields}
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    return [(field.name, given.get(field.name, f"DEFAULTS[{field.name!r}]()")) for field in fields]


def _stores(cls: Any, values: Iterable[tuple[str, str]]) -> Emitted:
    scope: dict[str, Any] = {"CLS": cls, "new": object.__new__, "DEFAULTS": _defaults(cls)}
    frozen = cls.__dataclass_params__.frozen
    made = twin(cls) if frozen else None
    if hasattr(cls, "__post_init__") or (frozen and made is None):
        return [f"return CLS({', '.join(f'{name}={expression}' for name, expression in values)})"], scope
    stores = [f"obj.{name} = {expression}" for name, expression in values]
    if not frozen:
        return ["obj = new(CLS)", *stores, "return obj"], scope
    scope["Twin"] = made
    return ["obj = Twin()", *stores, "obj.__class__ = CLS", "return obj"], scope


def _defaults(cls: Any) -> dict[str, Callable[[], Any]]:
    return {field.name: _default(field) for field in dataclasses.fields(cls)}


def _default(field: dataclasses.Field[Any]) -> Callable[[], Any]:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return lambda: field.default
