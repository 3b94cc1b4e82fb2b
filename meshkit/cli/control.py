"""``meshkit control``: the embedded control plane."""

from __future__ import annotations

from pathlib import Path

from meshkit.cli.loop import run_on_best_loop
from meshkit.errors import MissingExtra

__all__ = ["control"]


def control(
    directory: Path, /, *, host: str = "127.0.0.1", port: int = 15010, debug_port: int = 8080, hold: float = 2.0
) -> None:
    """Serve the Istio YAML of a folder, and what servers register, as xDS.

    Parameters
    ----------
    directory
        The folder of *.yaml files; edits are obeyed at once.
    host
        The address to listen on.
    port
        The port of the ADS; 0 picks a free one.
    debug_port
        The port of /debug/adsz, /healthz and /metrics; 0 picks a free one.
    hold
        Seconds that a server's endpoints stay when its stream breaks off.
    """
    try:
        from meshkit.control import ControlPlane
    except ImportError:
        raise MissingExtra("meshkit control", "control") from None

    async def serve() -> None:
        async with ControlPlane(directory, host=host, port=port, debug_port=debug_port, hold=hold) as plane:
            print(
                f"serving {directory} as xDS on {host}:{plane.port}, debug pages on {host}:{plane.debug_port}",
                flush=True,
            )
            await plane.wait()

    run_on_best_loop(serve())
