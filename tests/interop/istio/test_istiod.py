"""The peer itself: what the other tests of this folder build on."""

from __future__ import annotations

import pytest

from tests.support.istiod import Istiod, Refused, token
from tests.support.waiting import until

pytestmark = pytest.mark.interop

_ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: demo}
spec:
  hosts: [reviews.demo.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9080, name: grpc, protocol: GRPC}]
  endpoints: [{address: 127.0.0.11}]
"""


async def test_files_come_and_go(istiod: Istiod) -> None:
    await istiod.apply("reviews", _ENTRY)
    await until(lambda: _hosts_are(istiod, {"reviews.demo.svc.cluster.local"}))
    await istiod.delete("reviews")
    await until(lambda: _hosts_are(istiod, set()))


async def test_a_file_that_istio_refuses_is_said_with_its_reason(istiod: Istiod) -> None:
    with pytest.raises(Refused, match="SOMEHOW"):
        await istiod.apply("reviews", _ENTRY.replace("resolution: STATIC", "resolution: SOMEHOW"))


async def test_it_comes_back_on_the_same_ports_with_the_same_root(own_istiod: Istiod) -> None:
    ports, root = own_istiod.ports, own_istiod.root_cert.read_bytes()
    await own_istiod.restart()
    assert (own_istiod.ports, own_istiod.root_cert.read_bytes()) == (ports, root)


async def test_its_mesh_config_is_read_again(own_istiod: Istiod) -> None:
    own_istiod.mesh_config("trustDomain: example.org\n")

    async def read() -> bool:
        return "example.org" in str(await own_istiod.debug("mesh"))

    await until(read)


def test_a_token_has_three_parts() -> None:
    assert token("demo", "app").count(".") == 2


async def _hosts_are(istiod: Istiod, names: set[str]) -> bool:
    return {service["hostname"] for service in await istiod.debug("registryz")} == names
