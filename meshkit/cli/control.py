"""``meshkit control``: the embedded control plane."""

from __future__ import annotations

from pathlib import Path

from meshkit.cli.loop import run_on_best_loop
from meshkit.errors import MissingExtra

__all__ = ["control"]


def control(
    directory: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 15010,
    debug_port: int = 8080,
    debug: bool = True,
    hold: float = 2.0,
    settle: float = 40.0,
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
    debug
        Whether those pages are served at all. dubbo-go needs them, at port 8080.
    hold
        Seconds that a server's endpoints stay when its stream breaks off.
    settle
        Seconds after the start in which clients that come back keep what nobody has registered again yet.
    """
    try:
        from meshkit.control import ControlPlane, run
    except ImportError:
        raise MissingExtra("meshkit control", "control") from None

    def say(plane: ControlPlane) -> None:
        where = f"debug pages on {host}:{plane.debug_port}" if debug else "no debug pages"
        print(f"serving {directory} as xDS on {host}:{plane.port}, {where}", flush=True)

    pages = debug_port if debug else None
    run_on_best_loop(run(directory, host=host, port=port, debug_port=pages, hold=hold, settle=settle, ready=say))
