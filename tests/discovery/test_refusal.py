from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from meshkit.discovery import DiscoveryOptions, NodeIdentity
from meshkit.discovery.credentials import Claims, claims_of
from meshkit.discovery.refusal import next_step
from meshkit.errors import Internal, InvalidArgument, PermissionDenied, RpcError, Unauthenticated, Unavailable

OPTIONS = DiscoveryOptions(identity=NodeIdentity(namespace="demo"), token_file=Path("/token"))
SOON = 2**33  # the year 2242


def token(**claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.x"


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (Unavailable("cannot connect to 127.0.0.1:1: refused"), "MESHKIT_CONTROL_PLANE"),
        (Unavailable("cannot connect to a:1: TLS: unable to get local issuer certificate"), "MESHKIT_ROOT_CERT"),
        (Unavailable("cannot connect to a:1: TLS: self-signed certificate in certificate chain"), "MESHKIT_ROOT_CERT"),
        (Unavailable("cannot connect to a:1: TLS: certificate is not valid for 'a'"), "MESHKIT_SERVER_NAME"),
        (Unavailable("cannot connect to a:1: TLS: WRONG_VERSION_NUMBER"), "15012"),
        (Unavailable("server is not ready to serve discovery information"), "starting"),
        (InvalidArgument("no valid IP address in the service node id or metadata"), "MESHKIT_ADDRESS"),
        (InvalidArgument("failed to unmarshal node metadata"), "labels are strings"),
    ],
)
def test_what_istiod_says_has_a_next_step(error: RpcError, step: str) -> None:
    assert step in next_step(error, OPTIONS)


@pytest.mark.parametrize(
    ("shown", "step"),
    [
        ("", "MESHKIT_TOKEN_FILE"),
        ("secret", "what is in /token is no JSON web token"),
        (token(aud=["istio-ca"], exp=0.5), "expired at 1970-01-01 00:00:00 UTC"),
        (token(aud="other", exp=SOON), "is for the audience other; project one for istio-ca"),
        (token(exp=SOON), "is for the audience none"),
        (token(aud=["istio-ca"], exp=SOON), "does not trust who signed the token in /token"),
    ],
)
def test_the_faults_of_a_token_are_named(shown: str, step: str) -> None:
    said = next_step(Unauthenticated("authentication failure"), OPTIONS, shown)
    assert step in said
    assert not shown or shown not in said


def test_whose_token_it_is_is_said() -> None:
    shown = token(sub="system:serviceaccount:other:app")
    said = next_step(PermissionDenied("no"), OPTIONS, shown)
    assert "namespace 'demo'" in said
    assert "(system:serviceaccount:other:app)" in said
    assert "()" not in next_step(PermissionDenied("no"), OPTIONS)


def test_what_nobody_can_mend_has_none() -> None:
    assert next_step(Internal("a bug"), OPTIONS) == next_step(OSError("a file"), OPTIONS) == ""
    assert next_step(Unavailable("cannot connect to a:1: there is no root certificate at /x; mount it"), OPTIONS) == ""


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "a.W10.c", "a.eyJleHAiOiJ4In0.c"])
def test_what_is_no_token_has_no_claims(text: str) -> None:
    assert claims_of(text) is None


def test_claims() -> None:
    assert claims_of(token(sub="s", aud="a", exp=1)) == Claims("s", ("a",), 1.0)
