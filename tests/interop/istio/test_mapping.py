"""What ``meshkit k8s mapping`` prints is taken by a real istiod, and calls by interface follow it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.support.istio_world import HOST, both, caller, destination_rule, greeters, kubernetes, settle, settle_share
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_PODS = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}
_NAMES = {"127.0.0.11": "one", "127.0.0.12": "two"}


def mapping(*options: str) -> str:
    """The command's output, as a pipe to kubectl would get it."""
    words = ["k8s", "mapping", "tests.support.gen.helloworld.v1.greeter_mesh", "--service", "greeter"]
    done = subprocess.run(
        [sys.executable, "-m", "meshkit.cli", *words, "--namespace", "demo", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    return done.stdout


@both("interface by VirtualService, as `meshkit k8s mapping` prints it")
async def test_a_virtual_service_by_interface_with_weights(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, caller(istiod, mode, interfaces={}) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("mapping", mapping())
        await settle(client, {"one", "two"})
        await istiod.apply("subsets", destination_rule(HOST, {"v1": {"version": "v1"}, "v2": {"version": "v2"}}))
        await istiod.apply("mapping", mapping("--subset", "v1=90", "--subset", "v2=10"))
        await settle_share(client, "two", 0.1)


@both("interface by ServiceEntry that selects pods, as `meshkit k8s mapping` prints it")
async def test_a_service_entry_by_interface(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, caller(istiod, mode, interfaces={}) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("mapping", mapping("--kind", "ServiceEntry", "--port", str(port)))
        await settle(client, {"one", "two"})
