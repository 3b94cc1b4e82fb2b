"""Dubbo's own programs as peers: servers of ``api.Greeter`` to call, and clients that call ours."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gopeers import go_peer
from tests.support.javapeers import java_peer
from tests.support.ports import free_port

__all__ = [
    "DUBBO",
    "GO31",
    "GO33",
    "JAVA",
    "KINDS",
    "DubboServer",
    "Said",
    "dubbo_server",
    "each",
    "every_kind",
    "go_client",
    "java_client",
]

GO33, GO31, JAVA = DUBBO = ("dubbo-go 3.3", "dubbo-go 3.1", "dubbo-java")
_START = 180.0  # seconds that a server may take on a busy machine; it takes 3
_RUN = 240.0  # and a client
_HOST = "greeter.test"  # 127.0.0.1, for Java
_RESULT = re.compile(r"RESULT (\d+) x (.*)")


def each(capability: str, *peers: str) -> pytest.MarkDecorator:
    """Run a test with each of ``peers``, all where none is named, as cells of the capability table."""
    cells = [
        pytest.param(peer, id=peer.replace(" ", "-"), marks=pytest.mark.capability(capability, peer=peer))
        for peer in peers or DUBBO
    ]
    return pytest.mark.parametrize("peer", cells)


KINDS = {"unary": "unary", "server": "server stream", "client": "client stream", "bidi": "bidi stream"}
"""The kinds of calls, as the clients call them and as the capability table does."""


def every_kind() -> pytest.MarkDecorator:
    """Run a test with each kind of call of each peer, as cells of the capability table."""
    cells = [
        pytest.param(
            peer,
            kind,
            id=f"{peer}-{kind}".replace(" ", "-"),
            marks=pytest.mark.capability(f"Triple: {KINDS[kind]}", peer=peer),
        )
        for peer in DUBBO
        for kind in KINDS
    ]
    return pytest.mark.parametrize(("peer", "kind"), cells)


# Servers.


def _go_server(peer: str, folder: Path, port: int, group: str, version: str) -> list[str]:
    binary = str(go_peer(peer.replace(" ", "-"), "./server"))
    return [binary, "-port", str(port), "-group", group, "-version", version]


def _java_server(peer: str, folder: Path, port: int, group: str, version: str) -> list[str]:
    """By name it listens on loopback only; it takes 127.0.0.1 for all addresses."""
    command = java_peer(peer, "peer.Server", _hosts(folder), f"-Dhost={_HOST}")
    return [*command, str(port), *((group, version) if group or version else ())]


def _hosts(folder: Path) -> str:
    """A JVM's option by which `_HOST` is an address of loopback."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 {_HOST} localhost {socket.gethostname()}\n")
    return f"-Djdk.net.hosts.file={hosts}"


_SERVERS: dict[str, Callable[[str, Path, int, str, str], list[str]]] = {
    GO33: _go_server,
    GO31: _go_server,
    JAVA: _java_server,
}


@dataclass(frozen=True, slots=True)
class DubboServer:
    """A running server: where it is, and the file of what it prints."""

    peer: str
    address: str
    output: Path
    process: subprocess.Popen[bytes]

    def said(self, text: str) -> bool:
        """Whether it has printed ``text``."""
        return text in self.output.read_text(errors="replace")

    async def saying(self, text: str) -> None:
        """Wait until it has printed ``text``."""
        until = time.monotonic() + 60
        while not self.said(text):
            assert time.monotonic() < until, f"{self.peer} has not said {text!r}"
            await asyncio.sleep(0.02)


@contextmanager
def dubbo_server(peer: str, folder: Path, group: str = "", version: str = "") -> Iterator[DubboServer]:
    """A server of one of `DUBBO` on a free port of 127.0.0.1; what it prints goes to ``folder``."""
    port = free_port()
    output = folder / f"{peer}-{port}.log".replace(" ", "-")
    with output.open("wb") as log:
        command = _SERVERS[peer](peer, folder, port, group, version)
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        server = DubboServer(peer, f"127.0.0.1:{port}", output, process)
        _await_ready(server)
        yield server
    finally:
        process.kill()
        process.wait(60)


def _await_ready(server: DubboServer) -> None:
    until = time.monotonic() + _START
    while not server.said("READY"):
        text = server.output.read_text(errors="replace")
        assert server.process.poll() is None, f"{server.peer} ended:\n{text[-2000:]}"
        assert time.monotonic() < until, f"{server.peer} is not ready after {_START:g} s:\n{text[-2000:]}"
        time.sleep(0.05)


# Clients.


@dataclass(frozen=True, slots=True)
class Said:
    """What a client printed."""

    text: str

    @property
    def results(self) -> Counter[str]:
        """How often each answer of a Go client came."""
        return Counter({text: int(count) for count, text in _RESULT.findall(self.text)})

    @property
    def result(self) -> str:
        """The only answer of a Go client."""
        (text,) = self.results
        return text


async def go_client(peer: str, address: str, *arguments: str) -> Said:
    """Run the client of dubbo-go 3.3 or 3.1 against ``address``, with the flags that its README names."""
    binary = await asyncio.to_thread(go_peer, peer.replace(" ", "-"), "./client")
    url = address if peer == GO33 else f"tri://{address}"
    return await _run(str(binary), "-url", url, "-timeout", "60s", *arguments)  # theirs is three


async def java_client(
    folder: Path, address: str, *names: str, group: str = "", version: str = "", timeout: int = 20_000
) -> Said:
    """Run dubbo-java's client, which makes unary calls for ``names``, of ``timeout`` milliseconds each, and one of each
    kind of stream. It does not call addresses that start with 127, hence the host file."""
    command = await asyncio.to_thread(java_peer, JAVA, "peer.Client", _hosts(folder))
    target = f"{_HOST}:{address.rpartition(':')[2]}"
    return await _run(*command, target, str(timeout), group, version, *names)


async def _run(*command: str) -> Said:
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(_RUN):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = Said(output.decode(errors="replace"))
    assert process.returncode == 0, said.text[-3000:]
    return said
