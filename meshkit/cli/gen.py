"""``meshkit gen``: message classes, server bases and client proxies from .proto files, without a protoc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from meshkit.errors import MissingExtra

__all__ = ["gen"]


def gen(
    protos: Sequence[Path],
    /,
    *,
    out: Path,
    proto_path: Annotated[Sequence[Path], Parameter(name=["--proto-path", "-I"], negative=(), show_default=False)] = (),
    messages: Literal["betterproto2", "protobuf"] = "betterproto2",
) -> None:
    """Generate message classes, server bases and client proxies.

    Parameters
    ----------
    protos
        The .proto files, or folders of them.
    out
        The folder to write to; made where it is missing.
    proto_path
        Where imports are looked for; the folders of the files themselves where not given.
    messages
        The kind of message classes.
    """
    try:
        from meshkit_codegen import generate
    except ImportError:
        raise MissingExtra("meshkit gen", "gen") from None
    for path in generate(list(protos), out, proto_path=list(proto_path), messages=messages):
        print(path)
