"""How a process gets in at istiod: TLS and a token, each thing that can be wrong with them, and health when mended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshkit.discovery import Discovery
from meshkit.mesh import Mesh
from meshkit.mesh.access import discovery_options
from meshkit.mesh.settings import load_settings
from meshkit.net import BackoffPolicy
from tests.support.ads_server import until
from tests.support.events import captured_events
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import HOST, both, greeters, kubernetes, settle
from tests.support.istiod import Istiod, token

pytestmark = pytest.mark.interop

_GOOD = token("demo", "app")
_FAST = BackoffPolicy(0.05, 1.6, 0.2, 0.2)
_ONE = {"127.0.0.11": {"version": "v1"}}


def secure(istiod: Istiod, token_file: Path, **more: Any) -> dict[str, Any]:
    return {"control_plane": istiod.secure_address, "root_cert": istiod.root_cert, "token_file": token_file, **more}


@asynccontextmanager
async def looking(namespace: str = "demo", **settings: Any) -> AsyncIterator[Discovery]:
    """Discovery that looks for the greeter and tries again soon."""
    where = {"namespace": namespace, "address": "127.0.0.99", "interfaces": {"x.Y": f"{HOST}:80"}}
    discovery = Discovery(replace(discovery_options(load_settings({**where, **settings}, {}), {}), backoff=_FAST))
    await discovery.start()
    discovery.watch("x.Y")
    try:
        yield discovery
    finally:
        await discovery.close()


def warnings(events: Any) -> list[str]:
    return [event["error"] for event in events if event["log_level"] == "warning"]


@both("TLS and a service-account token (15012)")
async def test_a_caller_gets_in_with_its_token(istiod: Istiod, mode: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(_GOOD + "\n")
    async with greeters({"127.0.0.11": "one"}) as port:
        await istiod.apply("greeter", *kubernetes("greeter", _ONE, port))
        settings = secure(istiod, tmp_path / "token", namespace="demo", address="127.0.0.99", wait=10.0)
        where = {"helloworld.v1.Greeter": f"{HOST}:80"}
        async with Mesh(interfaces=where, **mode, **settings) as mesh:
            await settle(GreeterClient(mesh), {"one"})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param("", "holds no token", id="empty"),
        pytest.param(None, "No such file or directory; mount the projected token there", id="missing"),
        pytest.param("secret", "UNAUTHENTICATED: .*is no JSON web token", id="not a token"),
        pytest.param(token("demo", "app", key="other"), "UNAUTHENTICATED: .*does not trust who signed", id="wrong key"),
        pytest.param(token("demo", "app", ttl=-60), "UNAUTHENTICATED: .*expired at 20", id="expired"),
        pytest.param(
            token("demo", "app", audience=["vault"]), "audience vault; project one for istio-ca", id="audience"
        ),
        pytest.param(token("other", "app"), "PERMISSION_DENIED: .*'demo'.*serviceaccount:other:app", id="namespace"),
    ],
)
@pytest.mark.parametrize("mode", [{"xds": "delta"}, {"generator": "grpc"}], ids=["delta", "SotW"])
@pytest.mark.capability("wrong tokens are named, and mended without a restart", peer="istiod delta")
async def test_a_bad_token_is_said_once_until_it_is_replaced(
    istiod: Istiod, tmp_path: Path, mode: Mapping[str, str], bad: str | None, said: str
) -> None:
    file = tmp_path / "token"
    if bad is not None:
        file.write_text(bad)
    with captured_events() as events:
        async with looking(**secure(istiod, file), **mode) as discovery:
            await until(lambda: bool(discovery.condition()))
            await asyncio.sleep(0.4)  # several more attempts
            file.write_text(_GOOD)
            await until(lambda: not discovery.condition())
    (warning,) = warnings(events)
    assert re.search(said, warning), warning
    assert not bad or bad not in warning
