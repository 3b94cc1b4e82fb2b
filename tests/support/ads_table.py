"""A table of resources that the server's ADS machines are run against, and two clients that follow the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from meshkit.control.delta import DeltaMachine, DeltaRequest, DeltaResponse
from meshkit.control.encoding import Encoded
from meshkit.control.naming import CDS, LDS, Proxy
from meshkit.control.sotw import SotwMachine, SotwRequest, SotwResponse

__all__ = ["DeltaModel", "SotwModel", "Table"]


@dataclass(frozen=True)
class Table:
    """What a `View` is to a machine: for each type the resources there are. Routes and endpoints of other names are
    hollow."""

    held: dict[str, dict[str, str]]
    proxy: Proxy = Proxy()
    settled: bool = True

    def everything(self, kind: str) -> dict[str, Encoded]:
        return self.named(kind, self.held.get(kind, {}))

    def named(self, kind: str, names: Iterable[str]) -> dict[str, Encoded]:
        held = self.held.get(kind, {})
        out = {name: Encoded(name, held[name], b"") for name in names if name in held}
        if kind not in (CDS, LDS):
            out |= {name: Encoded(name, "hollow", b"", True) for name in names if name not in held}
        return out

    def certain(self, kind: str, name: str) -> bool:
        return self.settled

    def changed(self, kind: str, name: str, version: str | None) -> Table:
        held = {key: dict(value) for key, value in self.held.items()}
        if version is None:
            held.get(kind, {}).pop(name, None)
        else:
            held.setdefault(kind, {})[name] = version
        return Table(held, self.proxy, self.settled)


@dataclass
class SotwModel:
    """A client of the state of the world; ``lag`` responses wait before it reads them."""

    table: Table
    names: dict[str, list[str]] = field(default_factory=dict)
    has: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    waiting: list[SotwResponse] = field(default_factory=list)

    def open(self) -> None:
        self.machine = SotwMachine(self.table)  # type: ignore[arg-type] # a table does what a view does
        self.nonces: dict[str, str] = {}
        self.waiting.clear()
        for kind in self.names:
            self.ask(kind)

    def watch(self, kind: str, *names: str) -> None:
        self.names[kind] = list(names)
        self.ask(kind)

    def ask(self, kind: str, error: str = "") -> None:
        request = SotwRequest(
            kind, tuple(self.names[kind]), self.versions.get(kind, ""), self.nonces.get(kind, ""), error
        )
        self.waiting += self.machine.receive(request)

    def change(self, table: Table) -> None:
        self.table = table
        self.waiting += self.machine.push(table)  # type: ignore[arg-type]

    def read(self, *, reject: bool = False) -> bool:
        if not self.waiting:
            return False
        response = self.waiting.pop(0)
        kind, got = response.type_url, {one.name: one.version for one in response.resources}
        self.nonces[kind] = response.nonce
        if reject:
            self.ask(kind, "no")
            return True
        if kind in (CDS, LDS):
            self.has[kind] = got
        else:
            self.has.setdefault(kind, {}).update(
                {name: version for name, version in got.items() if name in self.names[kind]}
            )
        self.versions[kind] = response.version
        self.ask(kind)
        return True

    def settle(self) -> None:
        for _ in range(200):
            if not self.read():
                return
        raise AssertionError("client and server answer each other for ever")

    def wanted(self, kind: str) -> dict[str, str]:
        return wanted(self.table, kind, self.names.get(kind), everything=kind in (CDS, LDS))

    def held(self, kind: str) -> dict[str, str]:
        held = self.has.get(kind, {})
        return held if kind in (CDS, LDS) else {name: held[name] for name in self.names.get(kind, ()) if name in held}


@dataclass
class DeltaModel:
    """An incremental client."""

    table: Table
    names: dict[str, list[str]] = field(default_factory=dict)
    has: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: list[DeltaResponse] = field(default_factory=list)

    def open(self) -> None:
        self.machine = DeltaMachine(self.table)  # type: ignore[arg-type]
        self.waiting.clear()
        for kind, names in self.names.items():
            self.send(DeltaRequest(kind, tuple(names), (), dict(self.has.get(kind, {}))))

    def watch(self, kind: str, *names: str) -> None:
        old = self.names.get(kind, [])
        self.names[kind] = list(names)
        added = tuple(name for name in names if name not in old)
        gone = tuple(name for name in old if name not in names)
        for name in gone:
            self.has.get(kind, {}).pop(name, None)
        if "*" in gone:
            self.has[kind] = {name: one for name, one in self.has.get(kind, {}).items() if name in names}
        self.send(DeltaRequest(kind, added, gone))

    def send(self, request: DeltaRequest) -> None:
        self.waiting += self.machine.receive(request)

    def change(self, table: Table) -> None:
        self.table = table
        self.waiting += self.machine.push(table)  # type: ignore[arg-type]

    def read(self, *, reject: bool = False) -> bool:
        if not self.waiting:
            return False
        response: Any = self.waiting.pop(0)
        kind, names = response.type_url, self.names[response.type_url]
        held = self.has.setdefault(kind, {})
        for one in response.resources:
            if "*" in names or one.name in names:
                held[one.name] = one.version
        for name in response.removed:
            held.pop(name, None)
        self.send(DeltaRequest(kind, nonce=response.nonce, error="no" if reject else ""))
        return True

    def settle(self) -> None:
        while self.read():
            pass

    def wanted(self, kind: str) -> dict[str, str]:
        names = self.names.get(kind)
        return wanted(self.table, kind, names, everything="*" in (names or ()))

    def held(self, kind: str) -> dict[str, str]:
        return self.has.get(kind, {})


def wanted(table: Table, kind: str, names: list[str] | None, *, everything: bool) -> dict[str, str]:
    """What a client that watches these names should have."""
    if names is None:
        return {}
    found = table.everything(kind) if everything else {}
    found |= table.named(kind, [name for name in names if name != "*"])
    return {name: one.version for name, one in found.items()}
