"""Methods: what they derive, when they look for codecs, what they refuse."""

from __future__ import annotations

import pytest

from meshkit.rpc import CallOptions, Idempotency, Method
from meshkit.rpc.method import resolve_codecs
from tests.support.gen.echo.v1 import EchoReply, EchoRequest


def test_what_is_derived() -> None:
    method = Method("/a.b.C/Do", EchoRequest, EchoReply)
    assert (method.service, method.rpc, method.name, method.path_bytes) == ("a.b.C", "Do", "Do", b"/a.b.C/Do")
    assert method.idempotency is Idempotency.UNKNOWN
    assert Method("/a.b.C/Do", EchoRequest, EchoReply) == method
    assert hash(method) == hash(Method("/a.b.C/Do", EchoRequest, EchoReply))
    assert "name='do'" in repr(Method("/a.b.C/Do", EchoRequest, EchoReply, name="do"))


@pytest.mark.parametrize("path", ["", "/", "a.b.C", "/a.b.C/", "//Do"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(ValueError, match="is not '/package.Service/Rpc'"):
        Method(path, bytes, bytes)


def test_codecs_are_found_at_the_first_message() -> None:
    method = Method("/a.b.C/Do", EchoRequest, EchoReply)
    assert method.decode_request(method.encode_request(EchoRequest(text="x"))) == EchoRequest(text="x")
    assert method.decode_reply(method.encode_reply(EchoReply(number=7))) == EchoReply(number=7)
    unknown = Method("/a.b.C/Do", int, int)
    with pytest.raises(TypeError, match="no codec for"):
        unknown.encode_request(1)
    with pytest.raises(TypeError, match="no codec for"):
        resolve_codecs(unknown)


def test_a_codec_of_ones_own() -> None:
    class Upper:
        encode = staticmethod(str.encode)
        decode = staticmethod(bytes.decode)

    method = Method("/a.b.C/Do", str, str, request_codec=Upper(), reply_codec=Upper())
    assert method.decode_reply(method.encode_request("x")) == "x"


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="compression 'br' is not known"):
        CallOptions(compression="br")
    with pytest.raises(ValueError, match="max_receive"):
        CallOptions(max_receive=0)
