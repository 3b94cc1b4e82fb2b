"""The Istio YAML of the demo, written the safe way: to a name that nobody reads, then renamed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ALL_TO_V1", "HEADER_TO_V2", "SPLIT_90_10", "SUBSETS", "write_rule"]

SUBSETS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter, namespace: default}
spec:
  host: greeter
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
"""

_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter, namespace: default}
spec:
  hosts: [greeter]
  http:
"""

ALL_TO_V1 = f"""{_SERVICE}\
  - route:
    - destination: {{host: greeter, subset: v1}}
"""

_ADMIN = """\
  - match:
    - headers: {user: {exact: admin}}
    route:
    - destination: {host: greeter, subset: v2}
"""

HEADER_TO_V2 = f"{_SERVICE}{_ADMIN}{ALL_TO_V1.removeprefix(_SERVICE)}"

SPLIT_90_10 = f"""{_SERVICE}{_ADMIN}\
  - route:
    - destination: {{host: greeter, subset: v1}}
      weight: 90
    - destination: {{host: greeter, subset: v2}}
      weight: 10
"""


def write_rule(directory: Path, name: str, text: str) -> None:
    """Put ``text`` in force as ``name``.yaml, whole or not at all."""
    draft = directory / f"{name}.tmp"
    draft.write_text(text)
    draft.rename(directory / f"{name}.yaml")
