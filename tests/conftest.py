"""What all tests share: the caller's environment and the machine's speed are nothing to them."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# What a process in a mesh is told by its pod, and gRPC by its user; tests that need a variable set it themselves.
_POD = (
    *("POD_NAME", "POD_NAMESPACE", "INSTANCE_IP", "SERVICE_ACCOUNT", "PROXY_CONFIG", "ISTIO_META"),
    *("GRPC_", "PILOT_"),
)
_OURS = ("MESHKIT_CACHE", "MESHKIT_FUZZ_")  # what tests themselves are told


def pytest_configure() -> None:
    for name in [name for name in os.environ if _is_of_a_pod(name)]:
        del os.environ[name]


def _is_of_a_pod(name: str) -> bool:
    return name.startswith(_POD) or (name.startswith("MESHKIT_") and not name.startswith(_OURS))


# An example may take long where other programs run too. Each run tries the same ones; `make fuzz` tries new ones.
settings.register_profile(
    "gate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="MESHKIT_FUZZ_SECONDS" not in os.environ,
)
settings.load_profile("gate")
