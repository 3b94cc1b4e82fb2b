"""Two engines back to back, whatever happens in whatever order, and however the bytes are cut: what one sends the other
receives, nothing is left behind, and both think the same of every window."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meshkit.wire import (
    Connection,
    ErrorCode,
    Event,
    HalfClosed,
    Headers,
    Limits,
    Message,
    Reset,
    Role,
    Stream,
    Terminated,
    Trailers,
)
from tests.support.engines import OK, REQUEST, RESPONSE, apart
from tests.support.h2peer import settings as settings_frame

WINDOW = 70_000
LIMITS = Limits(
    stream_window=WINDOW,
    connection_window=90_000,
    write_high=2000,
    write_low=500,
    max_queued=5000,
    max_concurrent_streams=6,
)
SMALL = Limits(stream_window=200, connection_window=90_000, max_concurrent_streams=6)
SIZES = st.sampled_from([0, 1, 5, 100, 3000, 16_379, 16_380, 40_000, 100_000])
PICK = st.integers(0, 100)


@dataclass
class Half:
    """One direction of a call: messages sent, messages received, and whether each side knows of the end."""

    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    unread: int = 0
    ended: bool = False
    end_seen: bool = False


@dataclass
class Call:
    """Both directions, both ends' streams, and whether anybody gave up."""

    client: Stream
    server: Stream | None = None
    up: Half = field(default_factory=Half)
    down: Half = field(default_factory=Half)
    broken: bool = False
    over: bool = False


class TwoEngines(RuleBasedStateMachine):
    limits = LIMITS

    def __init__(self) -> None:
        super().__init__()
        self.client = Connection(Role.CLIENT, self.limits)
        self.server = Connection(Role.SERVER, self.limits)
        self.pipes = {Role.CLIENT: bytearray(), Role.SERVER: bytearray()}  # by who wrote
        self.calls: dict[int, Call] = {}
        self.filler = 0

    # -- what the ends do

    @precondition(lambda self: self.client.can_open)
    @rule(size=SIZES, more=st.booleans())
    def call(self, size: int, more: bool) -> None:
        stream = self.client.open_stream(REQUEST)
        self.calls[stream.id] = call = Call(stream)
        self.say(self.client, stream, call.up, size, not more)

    @precondition(lambda self: self.asking())
    @rule(pick=PICK, size=SIZES, end=st.booleans())
    def ask(self, pick: int, size: int, end: bool) -> None:
        calls = self.asking()
        call = calls[pick % len(calls)]
        self.say(self.client, call.client, call.up, size, end)

    @precondition(lambda self: self.asking())
    @rule(pick=PICK)
    def half_close(self, pick: int) -> None:
        calls = self.asking()
        call = calls[pick % len(calls)]
        self.client.end(call.client)
        call.up.ended = True

    @precondition(lambda self: self.answering())
    @rule(pick=PICK, size=SIZES)
    def answer(self, pick: int, size: int) -> None:
        calls = self.answering()
        call = calls[pick % len(calls)]
        assert call.server is not None
        if not call.server.headers_sent:
            self.server.send_headers(call.server, RESPONSE)
        self.say(self.server, call.server, call.down, size, False)

    @precondition(lambda self: self.answering())
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        calls = self.answering()
        self.finish_call(calls[pick % len(calls)])

    def finish_call(self, call: Call) -> None:
        assert call.server is not None
        fields = OK if call.server.headers_sent else RESPONSE + OK
        call.down.ended = True
        self.server.send_headers(call.server, fields, end=True)

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, by_server=st.booleans())
    def give_up(self, pick: int, by_server: bool) -> None:
        calls = list(self.calls.values())
        call = calls[pick % len(calls)]
        engine, stream = (self.server, call.server) if by_server else (self.client, call.client)
        if stream is not None and not stream.closed:
            call.broken = True
            engine.reset(stream, ErrorCode.CANCEL)

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, part=st.integers(1, 4))
    def read(self, pick: int, part: int) -> None:
        calls = list(self.calls.values())
        self.read_some(calls[pick % len(calls)], part)

    def read_some(self, call: Call, part: int) -> None:
        for engine, stream, half in ((self.server, call.server, call.up), (self.client, call.client, call.down)):
            if stream is not None:
                size = half.unread // part
                half.unread -= size
                engine.acknowledge(stream, size)

    @rule(by_server=st.booleans(), window=st.integers(0, 2000))
    def squeeze(self, by_server: bool, window: int) -> None:
        self.inject(Role.SERVER if by_server else Role.CLIENT, (4, min(window, self.limits.stream_window)))

    @rule(streams=st.integers(0, 6), table=st.sampled_from([0, 100, 4096]))
    def new_settings(self, streams: int, table: int) -> None:
        self.inject(Role.SERVER, (3, streams), (1, table))

    @rule()
    def ping(self) -> None:
        self.client.ping(b"01234567")
        self.server.ping(b"76543210")

    @rule(by_server=st.booleans(), cuts=st.lists(st.integers(1, 5000), max_size=8))
    def carry(self, by_server: bool, cuts: list[int]) -> None:
        for size in cuts:
            self.deliver(Role.SERVER if by_server else Role.CLIENT, size)

    @rule(by_server=st.booleans())
    def carry_all(self, by_server: bool) -> None:
        self.deliver(Role.SERVER if by_server else Role.CLIENT, 1 << 30)

    # -- how it is done

    def asking(self) -> list[Call]:
        return [call for call in self.calls.values() if not call.up.ended and not call.client.closed]

    def answering(self) -> list[Call]:
        return [
            call
            for call in self.calls.values()
            if call.server is not None and not call.down.ended and not call.server.closed
        ]

    def say(self, engine: Connection, stream: Stream, half: Half, size: int, end: bool) -> None:
        self.filler += 1
        data = (b"%d," % self.filler * size)[:size]
        half.sent.append(data)
        half.ended = end
        engine.send_message(stream, data, end=end)

    def inject(self, writer: Role, *pairs: tuple[int, int]) -> None:
        """SETTINGS that an engine never sends by itself; the windows are put back in the end."""
        self.take(writer)
        self.pipes[writer] += settings_frame(*pairs)

    def take(self, writer: Role) -> None:
        self.pipes[writer] += (self.server if writer is Role.SERVER else self.client).take_output()

    def deliver(self, writer: Role, size: int) -> None:
        self.take(writer)
        pipe = self.pipes[writer]
        engine, seen = (self.client, self.at_client) if writer is Role.SERVER else (self.server, self.at_server)
        piece = bytes(pipe[:size])
        del pipe[:size]
        for event in apart(engine.receive(piece, 0.0)):
            assert not isinstance(event, Terminated), event
            seen(event)

    def at_server(self, event: Event) -> None:
        if isinstance(event, Headers):
            call = self.calls[event.stream.id]
            assert call.server is None
            assert event.fields == REQUEST
            call.server = event.stream
        elif isinstance(event, Message | HalfClosed | Reset):
            call = self.calls[event.stream.id]
            assert event.stream is call.server
            self.note(call, call.up, event)

    def at_client(self, event: Event) -> None:
        if isinstance(event, Headers | Message | Trailers | HalfClosed | Reset):
            call = self.calls[event.stream.id]
            assert not call.over
            assert event.stream is call.client
            self.note(call, call.down, event)

    def note(self, call: Call, half: Half, event: Event) -> None:
        assert not half.end_seen or isinstance(event, Reset)
        if isinstance(event, Message):
            half.received.append(event.data)
            half.unread += len(event.data)
        elif isinstance(event, Reset):
            assert event.by_peer, event
            call.broken |= event.unprocessed  # more calls than the server takes, made before its SETTINGS came
            assert call.broken or call.down.ended, event
            call.over = half is call.down
        elif not isinstance(event, Headers) or event.end:
            half.end_seen = True
        assert half.received == half.sent[: len(half.received)]

    # -- what must hold

    @invariant()
    def counters_are_sums(self) -> None:
        for engine in (self.client, self.server):
            assert engine.queued == sum(stream.queued for stream in engine.streams.values())
            assert (engine.output_size > 0) is engine.has_output
            assert all(not stream.closed for stream in engine.streams.values())
            assert engine.termination == ""

    def settle(self) -> None:
        """Carry everything until both are silent, with all read."""
        for _ in range(2000):
            self.deliver(Role.CLIENT, 1 << 30)
            self.deliver(Role.SERVER, 1 << 30)
            for call in self.calls.values():
                self.read_some(call, 1)
            if not (self.client.has_output or self.server.has_output):
                return
        raise AssertionError("two engines that never fall silent")

    def teardown(self) -> None:
        for writer in (Role.CLIENT, Role.SERVER):
            self.inject(writer, (4, self.limits.stream_window))
        self.settle()
        assert self.client.queued == self.server.queued == 0, (self.client, self.server)
        self.agree()
        for call in self.asking():
            self.client.end(call.client)
            call.up.ended = True
        self.settle()
        for call in self.answering():
            self.finish_call(call)
        self.settle()
        assert self.client.streams == self.server.streams == {}
        assert self.client.queued == self.server.queued == 0
        self.agree()
        for call in self.calls.values():
            assert call.broken or call.down.received == call.down.sent
            assert call.broken or call.down.end_seen
            assert call.broken or not call.up.end_seen or call.up.received == call.up.sent

    def agree(self) -> None:
        """No bytes are under way: what one may send is what the other expects."""
        for one, other in ((self.client, self.server), (self.server, self.client)):
            assert one._send_window == other._recv_window
            for number, stream in one.streams.items():
                assert stream.send_window == other.streams[number].recv_window


class TwoSmallEngines(TwoEngines):
    limits = SMALL


quiet = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    report_multiple_bugs=False,
)
TestTwoEngines = TwoEngines.TestCase
TestTwoEngines.settings = quiet
TestTwoSmallEngines = TwoSmallEngines.TestCase
TestTwoSmallEngines.settings = quiet
