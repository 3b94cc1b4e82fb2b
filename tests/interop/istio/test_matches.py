"""Which calls a rule of a real istiod is for: each condition that Istio's reference knows of, met and not met."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.istio_world import (
    HOST,
    Object,
    both,
    caller,
    destination_rule,
    greeters,
    kubernetes,
    routes,
    settle,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_NAMES = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
_PODS = {address: {"version": name} for address, name in _NAMES.items()}
_SUBSETS = destination_rule(subsets={"v1": {"version": "v1"}, "v2": {"version": "v2"}})
_ADMIN, _EVE = {"user": "admin"}, {"user": "eve"}
_ROLE = _ADMIN | {"role": "root"}


def _user(**condition: str) -> Object:
    return {"headers": {"user": condition}}


_OF_HEADERS: dict[str, tuple[Object | list[Object], list[dict[str, str]], list[dict[str, str]]]] = {
    "exact": (_user(exact="admin"), [_ADMIN], [_EVE, {}, {"user": "admin2"}]),
    "prefix": (_user(prefix="adm"), [_ADMIN, {"user": "adm"}], [_EVE, {}, {"user": "an adm"}]),
    "regex, of the whole value": (_user(regex="a.*n"), [_ADMIN], [_EVE, {}, {"user": "administrator"}]),
    "present": (_user(), [_ADMIN, _EVE, {"user": ""}], [{}, {"users": "admin"}]),
    "all of several": ({"headers": {"user": {"exact": "admin"}, "role": {}}}, [_ROLE], [_ADMIN, {"role": "root"}]),
    "one of several": ([_user(exact="admin"), _user(exact="eve")], [_ADMIN, _EVE], [{"user": "bob"}, {}]),
    "without": ({"withoutHeaders": {"user": {"exact": "admin"}}}, [_EVE, {}], [_ADMIN]),
    "without one that starts so": ({"withoutHeaders": {"user": {"prefix": "ad"}}}, [_EVE, {}], [_ADMIN]),
    "without any": ({"withoutHeaders": {"user": {}}}, [{}, {"role": "root"}], [_ADMIN, {"user": ""}]),
    "with one and without another": (
        {"headers": {"user": {}}, "withoutHeaders": {"role": {"exact": "root"}}},
        [_ADMIN, _ADMIN | {"role": "guest"}],
        [_ROLE, {}],
    ),
}


@pytest.mark.parametrize(("match", "met", "missed"), _OF_HEADERS.values(), ids=_OF_HEADERS)
@both("VirtualService: headers exact, prefix, regex, present, withoutHeaders")
async def test_conditions_of_headers(istiod: Istiod, mode: Any, match: Any, met: Any, missed: Any) -> None:
    async with greeters(_NAMES) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("rules", _SUBSETS, _rule(match))
        for metadata in met:
            await settle(client, {"v2"}, metadata=metadata)
        for metadata in missed:
            await settle(client, {"v1"}, metadata=metadata)


_OF_CALLS: dict[str, tuple[Object, bool]] = {
    "uri, whatever its case": ({"uri": {"exact": "/HELLOWORLD.V1.greeter/sayhello"}, "ignoreUriCase": True}, True),
    "uri of another case": ({"uri": {"exact": "/HELLOWORLD.V1.greeter/sayhello"}}, False),
    "uri by regex": ({"uri": {"regex": "/hello.*/Say[A-Z].*"}}, True),
    "uri by regex of a part": ({"uri": {"regex": "/hello.*/Say"}}, False),
    "POST": ({"method": {"exact": "POST"}}, True),
    "GET": ({"method": {"exact": "GET"}}, False),
    "http": ({"scheme": {"exact": "http"}}, True),
    "https": ({"scheme": {"exact": "https"}}, False),
    "authority": ({"authority": {"prefix": "greeter.demo"}}, True),
    "another authority": ({"authority": {"exact": "other.demo"}}, False),
    "a query": ({"queryParams": {"a": {"exact": "b"}}}, False),
    "port": ({"port": 80}, True),
    "another port": ({"port": 81}, False),
    "namespace of the caller": ({"sourceNamespace": "demo"}, True),
    "another namespace": ({"sourceNamespace": "other"}, False),
    "labels of the caller": ({"sourceLabels": {"team": "a", "tier": "b"}}, True),
    "labels, one of which it has not": ({"sourceLabels": {"team": "a", "tier": "c"}}, False),
    "the mesh among gateways": ({"gateways": ["demo/edge", "mesh"]}, True),
    "a gateway only": ({"gateways": ["demo/edge"]}, False),
}


@pytest.mark.parametrize(("match", "met"), _OF_CALLS.values(), ids=_OF_CALLS)
@both("VirtualService: uri, method, scheme, authority, port, gateways and who calls")
async def test_conditions_of_calls(istiod: Istiod, mode: Any, match: Object, met: bool) -> None:
    ours = {"team": "a", "tier": "b"}
    async with greeters(_NAMES) as port, caller(istiod, mode, labels=ours) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("rules", _SUBSETS, _rule(match, gateways=["mesh", "demo/edge"]))
        await settle(client, {"v2" if met else "v1"})


@both("VirtualService: gateways")
async def test_rules_of_gateways_are_for_others(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("rules", _SUBSETS, _rule({}, gateways=["mesh", "demo/edge"]))
        await settle(client, {"v2"})
        await istiod.apply("rules", _SUBSETS, _rule({}, gateways=["demo/edge"]))
        await settle(client, {"v1", "v2"})
        await istiod.apply("rules", _SUBSETS, _rule({}))
        await settle(client, {"v2"})


@both("VirtualService: delegate")
async def test_a_rule_that_another_one_goes_on_with(istiod: Istiod, mode: Any) -> None:
    root = virtual_service({"match": [_user(exact="admin")], "delegate": {"name": "part", "namespace": "demo"}})
    root["spec"]["http"].append(routes({"v1": 1}))
    async with greeters(_NAMES) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("rules", _SUBSETS, root)
        await istiod.apply("part", _part(routes({"v2": 1}, match=[{"headers": {"role": {}}}]), routes({"v1": 1})))
        await settle(client, {"v2"}, metadata=_ROLE)
        await settle(client, {"v1"}, metadata=_ADMIN)
        await settle(client, {"v1"}, metadata={"role": "root"})
        await istiod.apply("part", _part(routes({"v2": 1})))
        await settle(client, {"v2"}, metadata=_ADMIN)
        await settle(client, {"v1"}, metadata={"role": "root"})


@both("VirtualService: port of the destination, or none")
async def test_a_destination_without_a_port_is_called_at_the_callers(istiod: Istiod, mode: Any) -> None:
    """Even where the destination has one other port only: Istio looks at Services that listen on the caller's."""
    many = [{"name": "grpc-a", "port": 80}, {"name": "grpc-b", "port": 81}]
    rule = virtual_service(routes({"v1": 1}, match=[{"port": 81}]), routes({"v2": 1}))
    async with (
        greeters(_NAMES | {"127.0.0.13": "v3"}) as port,
        caller(istiod, mode, wait=1.0) as first,
        caller(istiod, mode, wait=1.0, interfaces={"helloworld.v1.Greeter": f"{HOST}:81"}) as second,
    ):
        single = kubernetes("single", {"127.0.0.13": {}}, port, ports=[{"name": "grpc", "port": 81}])
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, ports=many))
        await istiod.apply("single", *single)
        await istiod.apply("rules", _SUBSETS, rule)
        await settle(first, {"v2"})
        await settle(second, {"v1"})
        await istiod.apply("rules", _SUBSETS, virtual_service(_to(host="single")))
        await settle(second, {"v3"})
        await until_fails(first, r"there is no Service or ServiceEntry single\.demo\.svc\S* with port 80")
        await istiod.apply("rules", _SUBSETS, virtual_service(_to(host="single", port={"number": 81})))
        await settle(first, {"v3"})
        await settle(second, {"v3"})


def _to(**destination: Any) -> Object:
    return {"route": [{"destination": destination}]}


def _rule(match: Object | list[Object], **spec: Any) -> Object:
    """Version v2 for what matches, v1 for the rest."""
    matches = match if isinstance(match, list) else [match]
    service = virtual_service(routes({"v2": 1}, **({"match": matches} if match else {})), routes({"v1": 1}))
    service["spec"] |= spec
    return service


def _part(*http: Object) -> Object:
    """The routes that a delegate adds; it has no hosts of its own."""
    service = virtual_service(*http)
    service["metadata"]["name"] = "part"
    del service["spec"]["hosts"]
    return service
