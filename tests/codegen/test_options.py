"""Options of the plugin."""

import pytest
from meshkit_codegen import Options, ProtoError


@pytest.mark.parametrize(
    ("parameter", "messages"),
    [
        ("", "betterproto2"),
        (",", "betterproto2"),
        ("messages=protobuf", "protobuf"),
        (" messages=betterproto2,", "betterproto2"),
    ],
)
def test_parse(parameter: str, messages: str):
    assert Options.parse(parameter).messages == messages


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("mesages=protobuf", "unknown option 'mesages'"),
        ("messages", "expected betterproto2 or protobuf"),
        ("messages=x", "messages=x"),
    ],
)
def test_unknown(parameter: str, words: str):
    with pytest.raises(ProtoError, match=words):
        Options.parse(parameter)
