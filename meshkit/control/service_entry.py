"""The YAML of a ServiceEntry and of a WorkloadEntry, as tables of shapes
(https://istio.io/latest/docs/reference/config/networking/service-entry/)."""

from __future__ import annotations

from functools import lru_cache, partial
from ipaddress import ip_address

from yaml.nodes import Node

from .model import Meta, Port, ServiceEntry, WorkloadEntry
from .shape import Field, Place, Shape, checked, choice, integer, list_of, map_of, only, record, text
from .virtual_service import export_to, host_name, labels, port_number

__all__ = ["is_address", "service_entry", "workload_entry"]

_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS")


def _protocol(node: Node, place: Place) -> str:
    value = text(node, place).upper()
    return value if value in _PROTOCOLS else place.fail(node, f"one of {', '.join(_PROTOCOLS)}")


_port = record(
    Port,
    {
        "number": Field("number", port_number, required=True),
        "name": Field("name", text, required=True),
        "protocol": Field("protocol", _protocol),
        "targetPort": Field("target_port", port_number),
    },
)


def _different(ports: tuple[Port, ...]) -> str:
    numbers = len({port.number for port in ports}) == len(ports)
    return (
        "" if numbers and len({port.name for port in ports}) == len(ports) else "expected different numbers and names"
    )


_WORKLOAD: dict[str, Field] = {
    "address": Field("address", text),
    "ports": Field("ports", map_of(port_number)),
    "labels": Field("labels", labels),
    "locality": Field("locality", text),
    "weight": Field("weight", integer(0, 2**31 - 1)),
}
_WORKLOAD_IGNORED = ("network", "serviceAccount")
_SERVICE = {
    "hosts": Field("hosts", list_of(host_name, at_least=1), required=True),
    "addresses": Field("addresses", list_of(text)),
    "ports": Field("ports", checked(list_of(_port, at_least=1), _different), required=True),
    "location": Field("location", choice("MESH_EXTERNAL", "MESH_INTERNAL")),
    "resolution": Field("resolution", choice("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN")),
    "workloadSelector": Field("selector", only("labels", labels)),
    "exportTo": Field("export_to", export_to),
}


def _consistent(entry: ServiceEntry) -> str:
    if entry.selector is not None and entry.endpoints:
        return "expected at most one of workloadSelector, endpoints"
    if entry.resolution == "NONE" and entry.endpoints:
        return "expected no endpoints with resolution NONE; use STATIC or DNS"
    wrong = [one.address for one in entry.endpoints if entry.resolution == "STATIC" and not is_address(one.address)]
    if wrong:
        return f"expected an IP address or unix:///path in every endpoint of resolution STATIC, found {wrong[0]!r}"
    return ""


@lru_cache(maxsize=65536)
def is_address(text: str) -> bool:
    """Whether this is an IP address or ``unix:///path``: what a client connects to without asking anybody."""
    if text.startswith("unix://"):
        return text.startswith("unix:///")
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def service_entry(meta: Meta) -> Shape[ServiceEntry]:
    """The shape of the ``spec`` of the ServiceEntry that ``meta`` names."""
    endpoint = record(partial(WorkloadEntry, meta), _WORKLOAD, unsupported=_WORKLOAD_IGNORED)
    fields = _SERVICE | {"endpoints": Field("endpoints", list_of(endpoint))}
    shape = record(partial(ServiceEntry, meta), fields, unsupported=("subjectAltNames",))
    return checked(shape, _consistent)


def workload_entry(meta: Meta) -> Shape[WorkloadEntry]:
    """The shape of the ``spec`` of the WorkloadEntry that ``meta`` names."""
    fields = _WORKLOAD | {"address": Field("address", text, required=True)}
    return record(partial(WorkloadEntry, meta), fields, unsupported=_WORKLOAD_IGNORED)
