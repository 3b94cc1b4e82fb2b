"""``meshkit run``: serve classes on the mesh, on the fastest loop there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshkit.cli.loop import run_on_best_loop
from meshkit.cli.modules import imported
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
    servicers = [_load(name)() for name in services]
    run_on_best_loop(_serve(servicers, port, service))


def _load(name: str) -> Any:
    module, found, attribute = name.partition(":")
    if not found or not module or not attribute:
        raise ConfigError(f"{name!r}: write it as package.module:Class")
    try:
        return getattr(imported(module), attribute)
    except AttributeError:
        raise ConfigError(f"{name!r}: module {module!r} has no {attribute!r}") from None


async def _serve(servicers: Sequence[Any], port: int, service: str | None) -> None:
    async with Mesh(service=service) as mesh, mesh.serving(*servicers, port=port) as server:
        what = f"serving {', '.join(server.interfaces)} on {server.address}"
        await server.wait(lambda: print(what, flush=True))
