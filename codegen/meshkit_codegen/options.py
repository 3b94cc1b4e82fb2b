"""Options of the plugin: what protoc gives as ``--meshkit_opt=key=value,key=value``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from .errors import ProtoError

__all__ = ["Messages", "Options"]

Messages = Literal["betterproto2", "protobuf"]


@dataclass(frozen=True, slots=True)
class Options:
    """``messages``: whose message classes the generated services use."""

    messages: Messages = "betterproto2"

    @classmethod
    def parse(cls, parameter: str) -> Options:
        """Options from protoc's comma separated text. Raises `ProtoError` for an unknown name or value."""
        options = cls()
        for item in filter(None, map(str.strip, parameter.split(","))):
            key, _, value = item.partition("=")
            if key != "messages":
                raise ProtoError(f"unknown option {key!r} of protoc-gen-meshkit; it knows: messages")
            options = cls(_messages(value))
        return options


def _messages(value: str) -> Messages:
    if value not in get_args(Messages):
        known = " or ".join(get_args(Messages))
        raise ProtoError(f"option messages={value} of protoc-gen-meshkit: expected {known}")
    return cast(Messages, value)
