"""Every limit of an engine: what it grants its peer, and how much nonsense it takes. Sizes are bytes, times seconds.

Beside each budget stands the attack that it stops; a peer over a budget loses the connection with ENHANCE_YOUR_CALM.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of one engine.

    ``max_concurrent_streams``: streams a client may have open at once; further ones are refused.
    ``stream_window`` and ``connection_window``: how much a peer may send before we answer with credit.
    ``max_receive_message``: the largest gRPC message taken, also after inflating (grpc: 4 MiB); RESOURCE_EXHAUSTED.
    Decoded, hostile bytes may take a hundred times their size: docs/codec.md, "What a message takes of memory".
    ``max_header_list_size``: the largest header list, each field counted with 32 bytes more (RFC 9113 section 10.5.1);
    a larger one is RESOURCE_EXHAUSTED, one of four times the size ends the connection (HPACK bomb).
    ``header_table_size``: the HPACK dynamic table of our decoder.
    ``write_high`` and ``write_low``: a stream is not writable from ``write_high`` queued bytes on, until ``write_low``.
    ``max_queued``: from so many queued bytes of all streams on, one with anything queued is not writable. Holds memory,
    and the work of handlers, against a peer that asks a lot at once and gives no window for the answers.

    ``max_continuations``: CONTINUATION frames of one header block (CONTINUATION flood, VU#421644).
    ``resets_burst`` and ``resets_per_second``: a bucket for streams the peer resets before they are answered, and for
    streams we must reset for its faults (rapid reset, CVE-2023-44487; MadeYouReset, CVE-2025-8671).
    ``overhead_burst``, ``overhead_per_second``, ``overhead_per_frame``: a bucket for frames that carry nothing (PING,
    SETTINGS, PRIORITY, WINDOW_UPDATE, unknown ones; empty DATA counts ``empty_data_cost``, an interim response
    ``interim_cost``). Time, and every frame that does carry something, either way, fill it.
    ``max_settings``: entries of one SETTINGS frame; each may change the windows of every stream.
    ``max_unfinished``: bytes of messages that have only begun to arrive, over all streams of a connection; a stream
    that goes over it is RESOURCE_EXHAUSTED, unless it is the only one. Holds memory against many streams that each send
    all of a large message but its last byte.
    ``max_queued_answers``: acknowledgements of PING and SETTINGS waiting to be written for a peer that does not read.
    ``preface_timeout``, ``header_timeout``, ``settings_timeout``: how long the preface, the rest of a header block and
    the acknowledgement of our SETTINGS may take (slow headers).
    """

    max_concurrent_streams: int = 1000
    stream_window: int = 1 << 20
    connection_window: int = 4 << 20
    max_receive_message: int = 4 << 20
    max_header_list_size: int = 16 << 10
    header_table_size: int = 4096
    write_high: int = 64 << 10
    write_low: int = 16 << 10
    max_queued: int = 256 << 10
    max_continuations: int = 8
    resets_burst: int = 1000
    resets_per_second: float = 33.0
    overhead_burst: int = 10_000
    overhead_per_second: float = 100.0
    overhead_per_frame: int = 10
    empty_data_cost: int = 1000
    interim_cost: int = 100
    max_settings: int = 32
    max_unfinished: int = 64 << 20
    max_queued_answers: int = 1000
    preface_timeout: float = 15.0
    header_timeout: float = 10.0
    settings_timeout: float = 30.0
