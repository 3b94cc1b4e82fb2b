"""The names that workloads have for each other (SPIFFE; Istio's pkg/spiffe)."""

from __future__ import annotations

__all__ = ["spiffe_id"]


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    """The URI in the certificates of a workload: ``spiffe://<trust domain>/ns/<namespace>/sa/<service account>``."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"
