"""What generated code says about an rpc: its path, its messages, its shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, cast

from meshkit.codec import TableCodec, codec_for

__all__ = ["Idempotency", "MessageCodec", "Method", "Rep", "Req", "message_codec", "resolve_codecs"]

Req = TypeVar("Req")
Rep = TypeVar("Rep")


M = TypeVar("M")


class MessageCodec(Protocol[M]):
    """What a method needs of a codec; those of `meshkit.codec` are such."""

    @property
    def encode(self) -> Callable[[M], bytes]:
        """A message to bytes; `meshkit.codec.EncodeError` for what cannot be."""
        ...

    @property
    def decode(self) -> Callable[[bytes], M]:
        """Bytes to a message; `meshkit.codec.DecodeError` for what is none."""
        ...


class Idempotency(Enum):
    """What a proto file promises of an rpc (descriptor.proto, ``MethodOptions.IdempotencyLevel``)."""

    UNKNOWN = 0
    NO_SIDE_EFFECTS = 1
    IDEMPOTENT = 2


@dataclass(frozen=True, slots=True)
class Method(Generic[Req, Rep]):
    """One rpc, made once by generated code.

    ``path`` is "/package.Service/Rpc"; ``request`` and ``reply`` are message classes, or ``bytes`` for messages that
    stay encoded; ``name`` is the attribute of servicer and client.  ``request_codec`` and ``reply_codec`` replace what
    `meshkit.codec.codec_for` finds for the classes.  Codecs are looked up at the first message, not at import.
    """

    path: str
    request: type[Req]
    reply: type[Rep]
    client_streaming: bool = False
    server_streaming: bool = False
    idempotency: Idempotency = Idempotency.UNKNOWN
    name: str = ""
    deprecated: bool = False
    request_codec: MessageCodec[Req] | TableCodec | None = field(default=None, repr=False, compare=False)
    reply_codec: MessageCodec[Rep] | TableCodec | None = field(default=None, repr=False, compare=False)
    path_bytes: bytes = field(init=False, repr=False, compare=False)
    service: str = field(init=False, repr=False, compare=False)
    """The full name of the service: "package.Service"."""
    rpc: str = field(init=False, repr=False, compare=False)
    """The name of the rpc in the proto file."""
    encode_request: Callable[[Req], bytes] = field(init=False, repr=False, compare=False)
    decode_request: Callable[[bytes], Req] = field(init=False, repr=False, compare=False)
    encode_reply: Callable[[Rep], bytes] = field(init=False, repr=False, compare=False)
    decode_reply: Callable[[bytes], Rep] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        service, _, rpc = self.path.lstrip("/").rpartition("/")
        if not service or not rpc:
            raise ValueError(f"method path {self.path!r} is not '/package.Service/Rpc'")
        for name, value in (("path_bytes", self.path.encode()), ("service", service), ("rpc", rpc)):
            object.__setattr__(self, name, value)
        if not self.name:
            object.__setattr__(self, "name", rpc)
        for role in ("encode_request", "decode_request", "encode_reply", "decode_reply"):
            object.__setattr__(self, role, _Unresolved(self, role))

    def check_request(self, request: Any) -> None:
        """Raise TypeError unless ``request`` is a message of this method's request class."""
        if not isinstance(request, self.request):
            raise TypeError(_wrong_type(self.path, "takes", self.request, request))

    def check_reply(self, reply: Any) -> None:
        """Raise TypeError unless ``reply`` is a message of this method's reply class."""
        if not isinstance(reply, self.reply):
            raise TypeError(_wrong_type(self.path, "answers", self.reply, reply))


class _Unresolved:
    """Stands for a codec function until the first message, then puts the real one in its place."""

    __slots__ = ("_method", "_role")

    def __init__(self, method: Method[Any, Any], role: str) -> None:
        self._method = method
        self._role = role

    def __call__(self, value: Any) -> Any:
        resolve_codecs(self._method)
        return getattr(self._method, self._role)(value)


def resolve_codecs(method: Method[Any, Any]) -> None:
    """Find the codecs of ``method`` now. Raises TypeError for classes that no codec is known for."""
    request = method.request_codec or message_codec(method.request)
    reply = method.reply_codec or message_codec(method.reply)
    object.__setattr__(method, "encode_request", request.encode)
    object.__setattr__(method, "decode_request", request.decode)
    object.__setattr__(method, "encode_reply", reply.encode)
    object.__setattr__(method, "decode_reply", reply.decode)


def message_codec(kind: type[M]) -> MessageCodec[M]:
    """The codec of a message class. Raises TypeError for a class that no codec is known for."""
    return codec_for(cast(Any, kind))


def _wrong_type(path: str, verb: str, wanted: type, got: object) -> str:
    given = (
        got.__name__ + " (the class itself)"
        if isinstance(got, type)
        else f"{type(got).__module__}.{type(got).__qualname__}"
    )
    return f"{path} {verb} {wanted.__module__}.{wanted.__qualname__}, not {given}"
