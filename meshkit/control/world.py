"""The configuration joined: services with their endpoints, and for each host the rules and the policy that count.

Built anew from the library's resources and the live registrations whenever one of them changes; never changed in place.
Host names are resolved as Istio does: a name without a dot is ``<name>.<namespace>.svc.cluster.local``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .model import (
    Destination,
    DestinationRule,
    Meta,
    Port,
    Resource,
    ServiceEntry,
    Subset,
    VirtualService,
    WorkloadEntry,
)
from .problems import Problem, Severity
from .traffic_policy import TrafficPolicy

__all__ = ["CLUSTER_DOMAIN", "Endpoint", "Provider", "Service", "World", "join", "resolve_host"]

CLUSTER_DOMAIN = "svc.cluster.local"
_TCP = frozenset({"TCP", "TLS", "HTTPS", "MONGO"})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that serves one port of a service. ``address`` is an IP, a DNS name, or ``unix:///path``."""

    address: str
    port: int
    labels: Mapping[str, str]
    locality: str = ""
    weight: int = 1
    workload: str = ""
    """``name;namespace;canonical service;revision;cluster``, as Istio describes a workload to its clients."""


@dataclass(frozen=True, slots=True)
class Service:
    """A host, its ports, and by port number who serves it."""

    host: str
    namespace: str
    ports: Mapping[int, Port]
    endpoints: Mapping[int, tuple[Endpoint, ...]]
    resolution: str = "STATIC"
    addresses: tuple[str, ...] = ()

    def routed(self, port: int) -> bool:
        """Whether calls to the port have routes: its protocol is HTTP or gRPC, or not told (Istio sniffs it then)."""
        return port in self.ports and self.ports[port].protocol not in _TCP


@dataclass(frozen=True, slots=True)
class Provider:
    """A service's port that provides an interface, with the number of processes that do, and Dubbo's group and version
    if they gave any."""

    host: str
    port: int
    count: int
    group: str = ""
    version: str = ""


def resolve_host(name: str, namespace: str) -> str:
    """The full name of a host as written in a resource of ``namespace``."""
    return name if "." in name or name == "*" else f"{name}.{namespace}.{CLUSTER_DOMAIN}"


@dataclass(frozen=True, slots=True)
class World:
    """Everything the control plane knows, ready to be asked."""

    services: Mapping[str, Service] = field(default_factory=dict[str, Service])
    rules: Mapping[str, VirtualService] = field(default_factory=dict[str, VirtualService])
    policies: Mapping[str, DestinationRule] = field(default_factory=dict[str, DestinationRule])
    providers: Mapping[str, tuple[Provider, ...]] = field(default_factory=dict[str, tuple[Provider, ...]])
    problems: tuple[Problem, ...] = ()
    by_source: bool = False
    """Whether any rule looks at who calls: then routes differ between clients."""

    def virtual_service(self, host: str) -> VirtualService | None:
        """The rules for a host: those that name it, else those of the longest wildcard that covers it."""
        return _most_specific(self.rules, host)

    def destination_rule(self, host: str) -> DestinationRule | None:
        """The policy for a host, looked up like the rules."""
        return _most_specific(self.policies, host)

    def subset(self, host: str, name: str) -> Subset | None:
        """A subset of a host by name."""
        rule = self.destination_rule(host)
        return next((subset for subset in rule.subsets if subset.name == name), None) if rule else None

    def policy(self, host: str) -> TrafficPolicy:
        """The policy of a host without regard to subsets."""
        rule = self.destination_rule(host)
        return rule.policy if rule else TrafficPolicy()

    def find(self, name: str, namespace: str) -> str:
        """The host that a client of ``namespace`` means by ``name``: itself, ``name`` of its own namespace, or
        ``name.namespace``; where nothing is known of any of them, the name itself."""
        host = name.lower()
        if host in self.services or host in self.rules or host in self.providers:
            return host
        for full in (resolve_host(host, namespace), f"{host}.{CLUSTER_DOMAIN}"):
            if full in self.services:
                return full
        return host


def _most_specific(table: Mapping[str, T], host: str) -> T | None:
    if host in table:
        return table[host]
    parts = host.split(".")
    for start in range(1, len(parts)):
        found = table.get("*." + ".".join(parts[start:]))
        if found is not None:
            return found
    return table.get("*")


# -- joining -----------------------------------------------------------------------------------------------------------


def join(
    resources: Iterable[Resource],
    registered: Iterable[Service] = (),
    providers: Mapping[str, tuple[Provider, ...]] | None = None,
    processes: Iterable[tuple[str, Endpoint]] = (),
) -> World:
    """The world of these resources and live registrations: the services that servers say they are, the interfaces that
    they provide, and where they listen, by namespace, for the selectors of ServiceEntries."""
    ordered = sorted(resources, key=lambda resource: (resource.meta.namespace, resource.meta.name))
    entries = [resource for resource in ordered if isinstance(resource, ServiceEntry)]
    workloads = [resource for resource in ordered if isinstance(resource, WorkloadEntry)]
    virtual = [
        one for one in ordered if isinstance(one, VirtualService) and (not one.gateways or "mesh" in one.gateways)
    ]
    problems: list[Problem] = []
    rules = _by_host(((host, one) for one in virtual for host in one.hosts), problems)
    policies = _by_host(((one.host, one) for one in ordered if isinstance(one, DestinationRule)), problems)
    services = _services(entries, workloads, registered, list(processes))
    problems += _unknown_subsets(virtual, policies)
    return World(services, rules, policies, providers or {}, tuple(problems), _looks_at_source(virtual))


def _unknown_subsets(virtual: Iterable[VirtualService], policies: Mapping[str, DestinationRule]) -> Iterator[Problem]:
    """Subsets that rules send calls to and that no DestinationRule defines: such calls have no cluster and fail."""
    for meta, path, destination in _routed(virtual):
        host = resolve_host(destination.host, meta.namespace)
        policy = _most_specific(policies, host)
        known = {subset.name for subset in policy.subsets} if policy else set[str]()
        if destination.subset and destination.subset not in known:
            words = f"no DestinationRule defines the subset {destination.subset} of {host}: calls to it fail"
            yield Problem(meta.file, meta.line, path, words, str(meta), Severity.DOUBT)


def _routed(virtual: Iterable[VirtualService]) -> Iterator[tuple[Meta, str, Destination]]:
    for one in virtual:
        for index, rule in enumerate(one.http):
            yield from ((one.meta, f"spec.http[{index}].route", part.destination) for part in rule.route)


def _looks_at_source(virtual: Iterable[VirtualService]) -> bool:
    matches = (match for one in virtual for rule in one.http for match in rule.match)
    return any(match.source_labels or match.source_namespace for match in matches)


R = TypeVar("R", VirtualService, DestinationRule)


def _by_host(pairs: Iterable[tuple[str, R]], problems: list[Problem]) -> dict[str, R]:
    """One resource per host; the first by namespace and name counts, and the others are told so."""
    table: dict[str, R] = {}
    for written, resource in pairs:
        host = resolve_host(written, resource.meta.namespace)
        first = table.setdefault(host, resource)
        if first is not resource:
            meta, words = resource.meta, f"has no effect on host {host}, which {first.meta} is for"
            problems.append(Problem(meta.file, meta.line, "", words, str(meta), Severity.DOUBT))
    return table


def _services(
    entries: Iterable[ServiceEntry],
    workloads: Iterable[WorkloadEntry],
    registered: Iterable[Service],
    processes: Sequence[tuple[str, Endpoint]],
) -> dict[str, Service]:
    parts: defaultdict[str, list[Service]] = defaultdict(list)
    by_namespace: defaultdict[str, list[WorkloadEntry]] = defaultdict(list)
    for workload in workloads:
        by_namespace[workload.meta.namespace].append(workload)
    for entry in entries:
        chosen = list(_chosen(entry, by_namespace[entry.meta.namespace]))
        live = tuple(_selected(entry, processes))
        for host in entry.hosts:
            parts[host].append(_from_entry(entry, host, chosen, live))
    for service in registered:
        parts[service.host].append(service)
    return {host: _merged(found) for host, found in sorted(parts.items())}


def _chosen(entry: ServiceEntry, workloads: Iterable[WorkloadEntry]) -> Iterator[tuple[str, WorkloadEntry]]:
    """The workloads behind an entry with their names: its own endpoints, or those that its selector picks."""
    if entry.selector is None:
        for index, endpoint in enumerate(entry.endpoints):
            yield f"{entry.meta.name}-{index}", endpoint
        return
    for workload in workloads:
        if entry.selector.items() <= workload.labels.items():
            yield workload.meta.name, workload


def _selected(entry: ServiceEntry, processes: Iterable[tuple[str, Endpoint]]) -> Iterator[Endpoint]:
    """The live processes that a selector picks, as it picks pods in a cluster; each serves where it listens."""
    if entry.selector is not None:
        for namespace, endpoint in processes:
            if namespace == entry.meta.namespace and entry.selector.items() <= endpoint.labels.items():
                yield endpoint


def _from_entry(
    entry: ServiceEntry, host: str, chosen: Iterable[tuple[str, WorkloadEntry]], live: tuple[Endpoint, ...]
) -> Service:
    ports = {port.number: port for port in entry.ports}
    workloads = list(chosen)
    if not workloads and entry.resolution.startswith("DNS") and not host.startswith("*"):
        workloads = [(entry.meta.name, WorkloadEntry(entry.meta, host))]
    endpoints = {
        number: (*(_endpoint(name, workload, port, host) for name, workload in workloads), *live)
        for number, port in ports.items()
    }
    return Service(host, entry.meta.namespace, ports, endpoints, entry.resolution, entry.addresses)


def _endpoint(name: str, workload: WorkloadEntry, port: Port, host: str) -> Endpoint:
    number = workload.ports.get(port.name) or port.target_port or port.number
    labels, address = workload.labels, workload.address or host
    app = labels.get("service.istio.io/canonical-name") or labels.get("app") or name
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("version", "")
    description = f"{name};{workload.meta.namespace};{app};{revision};Kubernetes"
    return Endpoint(address, number, labels, workload.locality, workload.weight, description)


def _merged(parts: list[Service]) -> Service:
    """One service of all that is said about a host; what comes first decides where they differ."""
    first = parts[0]
    if len(parts) == 1:
        return first
    ports: dict[int, Port] = {}
    endpoints: dict[int, tuple[Endpoint, ...]] = {}
    for part in parts:
        for number, port in part.ports.items():
            ports.setdefault(number, port)
            endpoints[number] = _distinct(endpoints.get(number, ()) + part.endpoints.get(number, ()))
    resolution = next((part.resolution for part in parts if part.resolution != "NONE"), "NONE")
    return Service(first.host, first.namespace, ports, endpoints, resolution, first.addresses)


def _distinct(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Each address once: an endpoint written in YAML may be a process that registers itself too. The last one counts,
    as a live process knows its labels better than a file does."""
    return tuple({(endpoint.address, endpoint.port): endpoint for endpoint in endpoints}.values())
