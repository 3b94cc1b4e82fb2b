"""What the mesh demands of callers, read from listeners; and what of it is missing."""

from __future__ import annotations

import pytest

from meshkit.trust import Inbound, MutualTls, Policy, read_inbound, unenforced
from meshkit.xds import Listener
from meshkit.xds.listeners import FilterChain, RbacRules

STRICT = FilterChain("mtls", tls=True, client_certificate=True)
PLAIN = FilterChain("plain")


@pytest.mark.parametrize(
    ("chains", "mode"),
    [
        ((STRICT,), MutualTls.STRICT),
        ((PLAIN,), MutualTls.PLAINTEXT),
        ((STRICT, PLAIN), MutualTls.PERMISSIVE),
        ((FilterChain("tls", tls=True),), MutualTls.TLS),
        ((FilterChain("mine", 80), STRICT), MutualTls.PLAINTEXT),
        ((FilterChain("another's", 81), STRICT), MutualTls.STRICT),
    ],
)
def test_modes(chains: tuple[FilterChain, ...], mode: MutualTls) -> None:
    assert read_inbound(Listener("l", chains), 80) == Inbound(80, mode)


def test_a_listener_without_a_chain_says_so() -> None:
    found = read_inbound(Listener("l", (FilterChain("c", 81),)), 80)
    assert found.mtls is MutualTls.UNKNOWN
    assert str(found) == "port 80: UNKNOWN (the listener l has no filter chain for it)"


def test_policies_are_named_and_said_to_be_without_effect() -> None:
    rbac = (
        RbacRules("deny", "DENY", ("d",)),
        RbacRules("allow", "ALLOW", ()),
        RbacRules("dry", "ALLOW", ("later",), shadow=True),
    )
    found = read_inbound(Listener("l", (FilterChain("c", rbac=rbac),)), 80)
    assert found.policies == (Policy("DENY", "d"), Policy("ALLOW", ""), Policy("ALLOW", "later", dry_run=True))
    assert str(found) == "port 80: PLAINTEXT, DENY d, ALLOW nobody, ALLOW later (dry run)"
    assert unenforced(found) == ("policies are attached to port 80 and not enforced: DENY d, ALLOW nobody",)


def test_strict_is_said_to_be_without_effect() -> None:
    (said,) = unenforced(Inbound(80, MutualTls.STRICT))
    assert "demands STRICT TLS on port 80, and this server takes plaintext" in said
    for mode in (MutualTls.PLAINTEXT, MutualTls.PERMISSIVE, MutualTls.UNKNOWN):
        assert unenforced(Inbound(80, mode)) == ()
