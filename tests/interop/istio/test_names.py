"""ServiceEntries with ``resolution: DNS`` on a real istiod. Its grpc generator sends no endpoints for them at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.support.istio_world import HOST, caller, greeters, service_entry, settle, until_fails
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_TWO = {"127.0.0.11": "one", "127.0.0.12": "two"}


class Hosts:
    """A hosts file that a test edits; gives addresses in their order."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self.known = dict(known)

    async def resolve(self, host: str) -> Sequence[str]:
        if host not in self.known:
            raise OSError("Name or service not known")
        return self.known[host]


@pytest.mark.capability("ServiceEntry, resolution DNS", peer="istiod delta")
async def test_each_address_of_a_name_is_an_endpoint(istiod: Istiod) -> None:
    hosts = Hosts({"one.example": ["127.0.0.11"], "both.example": ["127.0.0.12", "127.0.0.11"]})
    async with greeters(_TWO) as port, caller(istiod, resolver=hosts.resolve) as client:
        await istiod.apply("greeter", service_entry(HOST, {"one.example": {}}, port, resolution="DNS"))
        await settle(client, {"one"})
        await istiod.apply("greeter", service_entry(HOST, {"both.example": {}}, port, resolution="DNS"))
        await settle(client, {"one", "two"})


@pytest.mark.capability("ServiceEntry, resolution DNS_ROUND_ROBIN", peer="istiod delta")
async def test_a_logical_name_is_called_at_its_first_address(istiod: Istiod) -> None:
    hosts = Hosts({"both.example": ["127.0.0.12", "127.0.0.11"]})
    async with greeters(_TWO) as port, caller(istiod, resolver=hosts.resolve) as client:
        entry = service_entry(HOST, {"both.example": {}}, port, resolution="DNS_ROUND_ROBIN")
        await istiod.apply("greeter", entry)
        await settle(client, {"two"})


@pytest.mark.capability("ServiceEntry, resolution DNS: names that do not resolve", peer="istiod delta")
async def test_a_name_that_does_not_resolve_is_named_and_recovers(istiod: Istiod) -> None:
    hosts = Hosts({})
    async with greeters(_TWO) as port, caller(istiod, resolver=hosts.resolve, wait=1) as client:
        await istiod.apply("greeter", service_entry(HOST, {"one.example": {}}, port, resolution="DNS"))
        await until_fails(client, "one.example is not resolved: Name or service not known")
        hosts.known["one.example"] = ["127.0.0.11"]
        await settle(client, {"one"})
