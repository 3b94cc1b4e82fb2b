"""An istiod that does not answer: one clear line with the next step, and health again by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshkit.errors import Unavailable
from tests.support.ads_relay import relayed
from tests.support.events import captured_events
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import caller, greeters, kubernetes, member, settle
from tests.support.istiod import Istiod, running_istiod
from tests.support.waiting import until

pytestmark = pytest.mark.interop

_ADA = HelloRequest(name="Ada")
_COMPLAINT = "control plane not reached"


@pytest.mark.capability("istiod not ready: UNAVAILABLE", peer="istiod delta")
async def test_an_istiod_that_is_not_ready_is_waited_for(istiod: Istiod) -> None:
    """Our istiod opens its port when it is ready, so a relay says what it says where others let callers in before."""
    with captured_events() as events:
        async with greeters({"127.0.0.11": "one"}) as port, relayed(istiod.address) as relay:
            relay.refusal = Unavailable("server is not ready to serve discovery information")
            await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
            async with member(relay.address) as mesh, asyncio.TaskGroup() as group:
                group.create_task(settle(GreeterClient(mesh), {"one"}))
                await until(lambda: _true(relay.streams >= 2))
                relay.refusal = None
    (said,) = [event for event in events if event["log_level"] == "warning"]
    assert said["event"] == _COMPLAINT
    assert said["error"].startswith("UNAVAILABLE: server is not ready to serve discovery information; it is starting")


@pytest.mark.capability("istiod limits new streams: RESOURCE_EXHAUSTED", peer="istiod delta")
async def test_an_istiod_that_limits_streams_is_tried_again(tmp_path: Path) -> None:
    limit = {"PILOT_MAX_REQUESTS_PER_SECOND": "0.2"}
    async with running_istiod(tmp_path, environment=limit) as istiod, greeters({"127.0.0.11": "one"}) as port:
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
        with captured_events() as events:
            async with caller(istiod) as first, caller(istiod) as second:
                # At once: five seconds later there is room for a second stream, and nothing would be refused.
                await asyncio.gather(settle(first, {"one"}), settle(second, {"one"}))
    (said,) = [event for event in events if event["log_level"] == "warning"]
    assert said["event"] == _COMPLAINT
    assert said["error"].startswith("RESOURCE_EXHAUSTED: request rate limit exceeded")
    assert "PILOT_MAX_REQUESTS_PER_SECOND" in said["error"]


@pytest.mark.capability("node without an IP: INVALID_ARGUMENT", peer="istiod delta")
async def test_a_node_without_an_ip_is_told_where_to_set_it(istiod: Istiod) -> None:
    with captured_events() as events:
        async with member(istiod, address="my-host", wait=0.5) as mesh:
            with pytest.raises(Unavailable, match="no valid IP address.*set MESHKIT_ADDRESS"):
                await GreeterClient(mesh).say_hello(_ADA, timeout=30)
    (said,) = [event for event in events if event["log_level"] == "warning"]
    assert said["event"] == _COMPLAINT
    assert said["error"].startswith("INVALID_ARGUMENT: no valid IP address in the service node id or metadata")


async def _true(value: bool) -> bool:
    return value
