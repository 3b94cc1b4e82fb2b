"""What the mesh demands of those who call a port of this process: PeerAuthentication and AuthorizationPolicy of Istio.

Istio's grpc generator says it by a listener (pilot/pkg/networking/grpcgen/lds.go): STRICT is a chain with TLS that asks
for a client certificate; DISABLE and PERMISSIVE are the same chain without TLS, and cannot be told apart. Policies are
its rbac filters, DENY before ALLOW.

Nothing here is enforced yet: a server takes plaintext, from everybody. `unenforced` says what that means for a port.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meshkit.xds import Listener

__all__ = ["Inbound", "MutualTls", "Policy", "read_inbound", "unenforced"]


class MutualTls(Enum):
    """What callers must show. STRICT: a certificate of the mesh. PERMISSIVE: one, or plaintext. TLS: the server has a
    certificate, callers need none. PLAINTEXT: no TLS (Istio's DISABLE, and its PERMISSIVE for proxyless servers)."""

    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"
    TLS = "TLS"
    PLAINTEXT = "PLAINTEXT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy attached to the port: what it does (ALLOW, DENY, LOG) and its name. ``dry_run``: it only counts.

    An ALLOW filter without policies lets nobody in; its name is "".
    """

    action: str
    name: str
    dry_run: bool = False

    def __str__(self) -> str:
        return f"{self.action} {self.name or 'nobody'}{' (dry run)' if self.dry_run else ''}"


@dataclass(frozen=True, slots=True)
class Inbound:
    """The demands on callers of ``port``. ``note``: why they are UNKNOWN."""

    port: int
    mtls: MutualTls = MutualTls.UNKNOWN
    policies: tuple[Policy, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        policies = f", {', '.join(map(str, self.policies))}" if self.policies else ""
        return f"port {self.port}: {self.mtls.value}{policies}{f' ({self.note})' if self.note else ''}"


def read_inbound(listener: Listener, port: int) -> Inbound:
    """What a listener demands of callers of ``port``: by the chains for this port, or else those for any."""
    own = [chain for chain in listener.chains if chain.port == port]
    chains = own or [chain for chain in listener.chains if chain.port is None]
    if not chains:
        return Inbound(port, note=f"the listener {listener.name} has no filter chain for it")
    policies = {
        Policy(rules.action, name, rules.shadow): None
        for chain in chains
        for rules in chain.rbac
        for name in rules.policies or ("",)
    }
    return Inbound(port, _mode({_MODES[chain.tls, chain.client_certificate] for chain in chains}), tuple(policies))


_MODES = {
    (True, True): MutualTls.STRICT,
    (True, False): MutualTls.TLS,
    (False, False): MutualTls.PLAINTEXT,
}


def _mode(modes: set[MutualTls]) -> MutualTls:
    """Chains of both kinds on one port are how Envoy does PERMISSIVE."""
    if len(modes) == 1:
        return modes.pop()
    return MutualTls.PERMISSIVE if MutualTls.PLAINTEXT in modes else MutualTls.TLS


def unenforced(inbound: Inbound) -> tuple[str, ...]:
    """What an operator believes this port to be protected by, and is not: sentences; empty where nothing is missing."""
    said: list[str] = []
    if inbound.mtls in (MutualTls.STRICT, MutualTls.TLS):
        said.append(
            f"the mesh demands {inbound.mtls.value} TLS on port {inbound.port}, and this server takes plaintext: "
            "whoever reaches the port can call it, and callers of the mesh who use TLS cannot"
        )
    if policies := [str(policy) for policy in inbound.policies if not policy.dry_run]:
        said.append(f"policies are attached to port {inbound.port} and not enforced: {', '.join(policies)}")
    return tuple(said)
