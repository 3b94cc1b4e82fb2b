"""``meshkit run``: serve classes on the mesh, on the fastest loop there is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from meshkit.cli.loop import run_on_best_loop
from meshkit.errors import ConfigError
from meshkit.mesh import Mesh

__all__ = ["run"]


def run(services: Sequence[str], /, *, port: int = 0, service: str | None = None) -> None:
    """Serve one or more classes until SIGTERM; further settings come from MESHKIT_* variables.

    Parameters
    ----------
    services
        Where the classes are: ``package.module:Greeter``; modules of the current folder are found.
    port
        The port to listen on; 0 picks a free one.
    service
        The service this process belongs to (MESHKIT_SERVICE).
    """
    sys.path.insert(0, "")
    servicers = [_load(name)() for name in services]
    run_on_best_loop(_serve(servicers, port, service))


def _load(name: str) -> Any:
    module, found, attribute = name.partition(":")
    if not found or not module or not attribute:
        raise ConfigError(f"{name!r}: write it as package.module:Class")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and what it imports is not: its traceback says which
        raise ConfigError(
            f"{name!r}: there is no module {error.name!r} here; run it from the folder it is in"
        ) from None
    except AttributeError:
        raise ConfigError(f"{name!r}: module {module!r} has no {attribute!r}") from None


async def _serve(servicers: Sequence[Any], port: int, service: str | None) -> None:
    async with Mesh(service=service) as mesh, mesh.serving(*servicers, port=port) as server:
        what = f"serving {', '.join(server.interfaces)} on {server.address}"
        await server.wait(lambda: print(what, flush=True))
