"""The catalog: what is shared between clients, what is taken over from one world to the next, and what was seen."""

from __future__ import annotations

from meshkit.control.catalog import Catalog, View
from meshkit.control.naming import CDS, EDS, LDS, RDS, Proxy
from meshkit.control.world import Endpoint, Port, Provider, Service, World, join
from tests.support.istio_captures import ENVOY, GRPC, input_world

NAME = "outbound|9080||reviews.demo.svc.cluster.local"
ROUTES = "reviews.demo.svc.cluster.local:9080"


def test_clients_alike_share_what_is_made():
    catalog = Catalog(input_world())
    other = Proxy(False, "demo", (("app", "web"),), ("elsewhere", "", ""))
    assert catalog.get(RDS, ROUTES, ENVOY) is catalog.get(RDS, ROUTES, other)
    assert catalog.get(CDS, NAME, ENVOY) is catalog.get(CDS, NAME, other)
    assert catalog.get(EDS, NAME, ENVOY) is not catalog.get(EDS, NAME, other)  # priorities are the client's own
    plain = "outbound|20000||plain.demo.svc.cluster.local"
    assert catalog.get(EDS, plain, ENVOY) is catalog.get(EDS, plain, other) is catalog.get(EDS, plain, GRPC)
    assert catalog.get(CDS, plain, ENVOY) is not catalog.get(CDS, plain, GRPC)


def test_what_did_not_change_is_taken_over():
    old = Catalog(input_world())
    before = dict(old.everything(CDS, ENVOY)) | {ROUTES: old.get(RDS, ROUTES, ENVOY), "eds": old.get(EDS, NAME, ENVOY)}
    new = Catalog(World(dict(input_world().services), input_world().rules, input_world().policies), old)
    assert all(new.everything(CDS, ENVOY)[name] is one for name, one in before.items() if name.startswith("outbound"))
    assert new.get(RDS, ROUTES, ENVOY) is before[ROUTES]
    assert new.get(EDS, NAME, ENVOY) is before["eds"]


def test_a_catalog_that_nobody_looked_at_passes_on_what_it_was_given():
    old = Catalog(input_world())
    before = old.get(RDS, ROUTES, ENVOY)
    assert Catalog(input_world(), Catalog(input_world(), old)).get(RDS, ROUTES, ENVOY) is before


def world(*ports: int) -> World:
    endpoints = tuple(Endpoint("127.0.0.1", port, {}) for port in ports)
    services = [Service("a.b", "demo", {80: Port(80, "grpc", "GRPC")}, {80: endpoints})] if ports else []
    return join([], services, {"pkg.iface": (Provider("a.b", 80, len(ports)),)} if ports else {})


def test_a_changed_endpoint_changes_the_endpoints_alone():
    old = Catalog(world(1))
    names = {CDS: "outbound|80||a.b", EDS: "outbound|80||a.b", RDS: "pkg.iface:80"}
    before = {kind: old.get(kind, name, ENVOY) for kind, name in names.items()}
    new = Catalog(world(2), old)
    after = {kind: new.get(kind, name, ENVOY) for kind, name in names.items()}
    assert [kind for kind in names if before[kind] is not after[kind]] == [EDS]
    assert before[EDS] is not None and after[EDS] is not None and before[EDS].version != after[EDS].version


def test_what_is_not_there_is_hollow_and_certain_only_if_it_was():
    catalog = Catalog(world())
    early = View(catalog, ENVOY, settled=False)
    hollow = early.named(RDS, ["pkg.iface:80"])["pkg.iface:80"]
    assert hollow.hollow and not early.certain(RDS, "pkg.iface:80")
    assert early.named(CDS, ["outbound|80||a.b"]) == {}
    there = Catalog(world(1), catalog)
    assert not View(there, ENVOY).named(RDS, ["pkg.iface:80"])["pkg.iface:80"].hollow
    gone = View(Catalog(world(), there), ENVOY, settled=False)
    assert gone.named(RDS, ["pkg.iface:80"])["pkg.iface:80"].hollow
    assert gone.certain(RDS, "pkg.iface:80")
    assert View(catalog, ENVOY).certain(RDS, "whatever")


def test_names_nobody_could_mean_are_answered_hollow():
    view = View(Catalog(world(1)), ENVOY)
    for name in ("", "|", "outbound|x||a.b", "outbound|99999999||a.b", "a:b:c", "a.b:", "70000", "\0"):
        assert view.named(RDS, [name])[name].hollow == (name != "70000"), name
        assert view.named(EDS, [name])[name].hollow
        assert view.named(CDS, [name]) == {}
        assert view.named(LDS, [name]) == {}
        assert View(Catalog(world(1)), GRPC).named(LDS, [name]) == {}
