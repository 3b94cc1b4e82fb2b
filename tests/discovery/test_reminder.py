"""What was refused is asked for again, by a real gRPC server's account, and heals without a change at the server."""

from __future__ import annotations

from typing import Any

import pytest

from meshkit.discovery import Discovery, DiscoveryOptions, NodeIdentity
from meshkit.net import BackoffPolicy
from tests.support.ads_server import CDS, EDS, RDS, AdsServer, cluster, endpoints, routes
from tests.support.waiting import until

GREETER = "helloworld.v1.Greeter"
NAME = "helloworld.v1.greeter:80"
SOON = BackoffPolicy(initial=0.05, multiplier=2.0, jitter=0.2, maximum=0.2)
MODES = pytest.mark.parametrize("mode", ["delta", "sotw"])


def good() -> dict[str, Any]:
    """What the control plane has, by type; one of each is sent damaged first."""
    return {CDS: cluster("a"), EDS: endpoints("a", "127.0.0.1:7000"), RDS: routes(NAME, ("a", 1))}


def damaged(url: str) -> Any:
    """The same resource with something in it that must be refused."""
    message = good()[url]
    if url == CDS:
        message.lb_policy = 99
    elif url == EDS:
        message.endpoints[0].lb_endpoints[0].endpoint.ClearField("address")
    else:
        message.virtual_hosts[0].routes[0].match.safe_regex.regex = "("
    return message


@MODES
@pytest.mark.parametrize("url", [CDS, EDS, RDS], ids=["CDS", "EDS", "RDS"])
async def test_a_damaged_message_is_asked_for_again(mode: str, url: str) -> None:
    async with AdsServer() as server:
        discovery = Discovery(
            DiscoveryOptions(address=server.address, mode=mode, identity=NodeIdentity("client"), reminders=SOON)
        )
        await discovery.start()
        try:
            server.put(*good().values(), cluster("unused"))
            server.put(damaged(url))
            watch = discovery.watch(GREETER)
            await until(lambda: server.streams and server.streams[0].errors)
            name = NAME if url == RDS else "a"
            server.resources[url][name] = good()[url]  # nothing is pushed
            await until(lambda: watch.cell.value.ready and not watch.cell.value.notes)
            assert len(server.streams) == 1
            assert "*" in server.streams[0].names[CDS]
            asked = len(server.streams[0].requests)
            server.put(cluster("later"))  # what the wildcard brings is still brought
            await until(lambda: any(entry.name == "later" for entry in discovery.statistics().resources["CDS"]))
            assert len(server.streams[0].requests) <= asked + 2  # nobody asks again for what is well
        finally:
            await discovery.close()


async def test_what_nobody_needs_is_not_asked_for_again() -> None:
    options = DiscoveryOptions(identity=NodeIdentity("client"), reminders=SOON)
    async with AdsServer() as server:
        server.put(*good().values(), cluster("unused", lb_policy=99))
        discovery = Discovery(DiscoveryOptions(server.address, options.identity, reminders=SOON))
        await discovery.start()
        try:
            watch = discovery.watch(GREETER)
            await until(lambda: watch.cell.value.ready and server.streams[0].errors)
            assert [list(request.resource_names_subscribe) for request in server.streams[0].requests].count([]) >= 1
            server.put(endpoints("a", "127.0.0.1:7001"))
            await until(lambda: "7001" in str(watch.cell.value.clusters))
            assert not any("unused" in request.resource_names_subscribe for request in server.streams[0].requests)
        finally:
            await discovery.close()
