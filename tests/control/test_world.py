"""The joined configuration: services from all sources, which rule counts for a host, names, and doubts."""

from __future__ import annotations

import pytest

from meshkit.control.library import Library
from meshkit.control.problems import Severity
from meshkit.control.world import Endpoint, Port, Provider, Service, World, join, resolve_host

HEAD = (
    "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: demo}}\nspec: {spec}\n---\n"
)


def world(*documents: tuple[str, str, str], registered: tuple[Service, ...] = ()) -> World:
    text = "".join(HEAD.format(kind=kind, name=name, spec=spec) for kind, name, spec in documents)
    library = Library()
    library.update({"a.yaml": text.encode()})
    assert library.problems == ()
    return join(library.resources.values(), registered)


VS, DR, SE, WE = "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry"
TO_A = "http: [{route: [{destination: {host: a}}]}]"


def addresses(service: Service, port: int = 80) -> list[str]:
    return [f"{one.address}:{one.port}" for one in service.endpoints[port]]


def test_the_rules_of_a_host_are_those_that_name_it_best():
    found = world(
        (VS, "all", f"{{hosts: ['*'], {TO_A}}}"),
        (VS, "wild", f"{{hosts: ['*.example.com'], {TO_A}}}"),
        (VS, "one", f"{{hosts: [x.example.com, short], {TO_A}}}"),
        (VS, "gateway", f"{{hosts: [y.example.com], gateways: [some], {TO_A}}}"),
    )

    def name(host: str) -> str:
        rules = found.virtual_service(host)
        return rules.meta.name if rules else ""

    assert [name(host) for host in ("x.example.com", "y.example.com", "z.y.example.com", "other")] == [
        "one",
        "wild",
        "wild",
        "all",
    ]
    assert name("short.demo.svc.cluster.local") == "one"


def test_two_rules_for_one_host_are_told():
    found = world((DR, "b", "{host: a}"), (DR, "a", "{host: a.demo.svc.cluster.local}"))
    assert found.destination_rule("a.demo.svc.cluster.local").meta.name == "a"
    (problem,) = found.problems
    assert problem.severity is Severity.DOUBT
    assert (
        "DestinationRule demo/b: has no effect on host a.demo.svc.cluster.local, which DestinationRule demo/a is for"
        in str(problem)
    )


def test_a_subset_that_nobody_defines_is_told():
    route = "http: [{route: [{destination: {host: a, subset: v9}}]}, {route: [{destination: {host: a, subset: v1}}]}]"
    found = world((VS, "a", f"{{hosts: [a], {route}}}"), (DR, "a", "{host: a, subsets: [{name: v1}]}"))
    assert [str(problem) for problem in found.problems] == [
        "a.yaml:1: VirtualService demo/a: spec.http[0].route: "
        "no DestinationRule defines the subset v9 of a.demo.svc.cluster.local: calls to it fail"
    ]


def test_endpoints_come_from_selected_workloads_and_their_port_names():
    ports = "[{number: 80, name: grpc, targetPort: 8080}, {number: 81, name: admin}]"
    found = world(
        (SE, "a", f"{{hosts: [a.b], resolution: STATIC, ports: {ports}, workloadSelector: {{labels: {{app: a}}}}}}"),
        (WE, "one", "{address: 127.0.0.1, labels: {app: a, version: v1}}"),
        (WE, "two", "{address: 127.0.0.2, labels: {app: a}, ports: {grpc: 9}}"),
        (WE, "other", "{address: 127.0.0.3, labels: {app: b}}"),
    ).services["a.b"]
    assert addresses(found) == ["127.0.0.1:8080", "127.0.0.2:9"]
    assert addresses(found, 81) == ["127.0.0.1:81", "127.0.0.2:81"]
    assert found.endpoints[80][0].workload == "one;demo;a;v1;Kubernetes"


def test_a_selector_picks_live_processes_of_its_namespace():
    spec = (
        "{hosts: [pkg.iface], resolution: STATIC, ports: [{number: 80, name: h}], workloadSelector: {labels: {app: a}}}"
    )
    library = Library()
    library.update({"a.yaml": HEAD.format(kind=SE, name="a", spec=spec).encode()})
    mine, other = Endpoint("127.0.0.1", 5, {"app": "a", "v": "1"}), Endpoint("127.0.0.1", 6, {"app": "b"})
    processes = [("demo", mine), ("demo", other), ("elsewhere", Endpoint("127.0.0.1", 7, {"app": "a"}))]
    found = join(library.resources.values(), (), {}, processes)
    assert found.services["pkg.iface"].endpoints[80] == (mine,)


def test_one_host_may_be_written_and_registered():
    written = (
        SE,
        "a",
        "{hosts: [a.b], resolution: STATIC, ports: [{number: 80, name: h}], endpoints: [{address: 127.0.0.1}]}",
    )
    grpc = {80: Port(80, "grpc", "GRPC"), 81: Port(81, "grpc", "GRPC")}
    live = (Endpoint("127.0.0.2", 5, {}), Endpoint("127.0.0.1", 80, {"version": "v2"}))
    found = world(written, registered=(Service("a.b", "demo", grpc, {80: live, 81: live[:1]}),)).services["a.b"]
    assert addresses(found) == ["127.0.0.1:80", "127.0.0.2:5"]
    assert found.endpoints[80][0].labels == {"version": "v2"}  # who lives knows best
    assert (found.ports[80].protocol, found.ports[81].protocol) == ("", "GRPC")


def test_a_service_without_resolution_is_reached_once_somebody_registers():
    written = (SE, "a", "{hosts: [a.b], ports: [{number: 80, name: h}]}")
    assert world(written).services["a.b"].resolution == "NONE"
    live = Service("a.b", "demo", {80: Port(80, "grpc", "GRPC")}, {80: (Endpoint("127.0.0.2", 5, {}),)})
    assert world(written, registered=(live,)).services["a.b"].resolution == "STATIC"


@pytest.mark.parametrize(
    ("name", "namespace", "host"),
    [("a", "x", "a.x.svc.cluster.local"), ("a.b", "x", "a.b"), ("*", "x", "*"), ("*.b", "x", "*.b")],
)
def test_short_names_belong_to_a_namespace(name, namespace, host):
    assert resolve_host(name, namespace) == host


def test_clients_may_ask_by_short_names_and_in_any_case():
    service = Service("a.demo.svc.cluster.local", "demo", {}, {})
    found = join([], [service], {"pkg.iface": (Provider(service.host, 80, 1),)})
    assert [found.find(name, "demo") for name in ("a", "a.demo", "A.Demo.svc.cluster.local")] == [service.host] * 3
    assert [found.find(name, "x") for name in ("a", "Pkg.Iface", "some.where")] == ["a", "pkg.iface", "some.where"]
