"""What the phases act on: the rules' folder and the processes."""

from __future__ import annotations

from pathlib import Path

from meshkit.cli.demo.processes import Processes

__all__ = ["Stage"]

_SERVERS = {
    "v1-a": ("greeter", "v1", "127.0.0.1"),
    "v1-b": ("greeter", "v1", "127.0.0.1"),
    "v2-a": ("greeter", "v2", "127.0.0.1"),
    "next-a": ("next", "v3", "127.0.0.1"),
}


class Stage:
    """The demo's world, in ``folder``. ``control_plane`` is the address that everybody connects to."""

    def __init__(self, folder: Path, control_port: int) -> None:
        self.rules = folder / "rules"
        self.gen = folder / "gen"
        self.processes = Processes(folder)
        self.control_plane = f"127.0.0.1:{control_port}"

    async def start_control_plane(self) -> None:
        """Start the control plane on its port."""
        port = self.control_plane.rpartition(":")[2]
        await self.processes.start(
            "control", ["meshkit.cli", "control", str(self.rules), "--port", port, "--debug-port", "0"]
        )

    async def start_server(self, name: str) -> None:
        """Start one server process; its name says its service and version."""
        service, version, address = _SERVERS[name]
        environment = {
            "MESHKIT_CONTROL_PLANE": self.control_plane,
            "MESHKIT_SERVICE": service,
            "MESHKIT_LABELS": f"version={version}",
            "MESHKIT_ADDRESS": address,
        }
        await self.processes.start(name, ["meshkit.cli.demo.server", str(self.gen.parent)], environment)
