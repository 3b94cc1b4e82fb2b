"""RFC 7541: the examples of appendix C, the `hpack` library as an oracle, and what a decoder must refuse."""

import tracemalloc

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire.codes import ErrorCode
from meshkit.wire.faults import ConnectionFault
from meshkit.wire.hpack import Decoder, Encoder, HeaderListTooLarge, encode_integer

GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com"))
GET_2 = (*GET, (b"cache-control", b"no-cache"))
GET_3 = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
)
FOUND = (
    (b":status", b"302"),
    (b"cache-control", b"private"),
    (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
    (b"location", b"https://www.example.com"),
)
FOUND_2 = ((b":status", b"307"), *FOUND[1:])
FOUND_3 = (
    (b":status", b"200"),
    (b"cache-control", b"private"),
    (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
    (b"location", b"https://www.example.com"),
    (b"content-encoding", b"gzip"),
    (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
)
APPENDIX_C = {
    "C.2.1": (4096, [("400a637573746f6d2d6b65790d637573746f6d2d686561646572", ((b"custom-key", b"custom-header"),))]),
    "C.2.2": (4096, [("040c2f73616d706c652f70617468", ((b":path", b"/sample/path"),))]),
    "C.2.3": (4096, [("100870617373776f726406736563726574", ((b"password", b"secret"),))]),
    "C.2.4": (4096, [("82", ((b":method", b"GET"),))]),
    "C.3": (
        4096,
        [
            ("828684410f7777772e6578616d706c652e636f6d", GET),
            ("828684be58086e6f2d6361636865", GET_2),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", GET_3),
        ],
    ),
    "C.4": (
        4096,
        [
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", GET),
            ("828684be5886a8eb10649cbf", GET_2),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", GET_3),
        ],
    ),
    "C.5": (
        256,
        [
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
                "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
                FOUND,
            ),
            ("4803333037c1c0bf", FOUND_2),
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153"
                "444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
                FOUND_3,
            ),
        ],
    ),
    "C.6": (
        256,
        [
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8"
                "e9ae82ae43d3",
                FOUND,
            ),
            ("4883640effc1c0bf", FOUND_2),
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b"
                "3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                FOUND_3,
            ),
        ],
    ),
}
NAMES = st.sampled_from([b":path", b"x", b"accept", b"grpc-status", b"set-cookie", b"trace-bin", b"long-" + b"n" * 200])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"gzip, deflate"]) | st.binary(max_size=300)), max_size=12)


@pytest.mark.parametrize("table, blocks", APPENDIX_C.values(), ids=APPENDIX_C)
def test_the_examples_of_the_rfc(table, blocks):
    decoder = Decoder(table, 65536)
    assert [decoder.decode(bytes.fromhex(block))[0] for block, _ in blocks] == [fields for _, fields in blocks]


@pytest.mark.parametrize(
    "value, bits, wire", [(10, 5, b"\x0a"), (1337, 5, b"\x1f\x9a\x0a"), (42, 8, b"\x2a"), (127, 7, b"\x7f\x00")]
)
def test_integers(value, bits, wire):
    assert encode_integer(value, bits, 0) == wire


@given(st.lists(FIELDS, max_size=6))
def test_the_library_reads_what_we_write(lists):
    encoder, oracle = Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
    for fields in lists:
        for _ in range(2):  # the second time from memory
            assert oracle.decode(encoder.encode(tuple(fields)), raw=True) == fields


@given(st.lists(st.tuples(FIELDS, st.booleans(), st.integers(0, 4096) | st.none()), max_size=8))
def test_we_read_what_the_library_writes(lists):
    oracle, decoder = hpack.Encoder(), Decoder(4096, 1 << 20)
    for fields, huffman, size in lists:
        if size is not None:
            oracle.header_table_size = size
        block = oracle.encode([hpack.HeaderTuple(*field) for field in fields], huffman=huffman)
        assert list(decoder.decode(block)[0]) == fields


def test_lists_that_differ_each_time():
    encoder, oracle = Encoder(), hpack.Decoder()
    peer, decoder = hpack.Encoder(), Decoder(4096, 16384)
    for number in range(1000):
        value = b"00-%032x-01" % number
        fields = (*GET_2, (b"traceparent", value), (b"x-%d" % (number % 300), b"y" * (number % 130)))
        assert oracle.decode(encoder.encode(fields), raw=True) == list(fields)
        assert decoder.decode(peer.encode(fields))[0] == fields
        assert decoder.decode(encoder.encode(fields))[0] == fields


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_is_read_as_the_library_reads_it_or_refused(blocks):
    oracle, decoder = hpack.Decoder(max_header_list_size=1 << 20), Decoder(4096, 1 << 20)
    for block in blocks:
        try:
            fields = decoder.decode(block)[0]
        except ConnectionFault as fault:
            assert fault.code == ErrorCode.COMPRESSION_ERROR
            return
        assert list(fields) == oracle.decode(block, raw=True)


@pytest.mark.parametrize(
    "block, lasting",
    [
        ("82", True),
        ("040c2f73616d706c652f70617468", True),
        ("100870617373776f726406736563726574", True),
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", False),  # adds to the table
        ("3f3f", False),  # resizes it
        ("82be", False),  # reads it: an indexed field
        ("040182be", False),  # a literal, then an indexed field
        ("7e0162", False),  # a literal whose name is read from it
        ("0f2f0162", False),
        ("82ff00", False),  # an index of several octets
    ],
)
def test_whether_a_block_has_to_do_with_the_dynamic_table(block, lasting):
    decoder = Decoder(4096, 65536)
    decoder.decode(b"\x40\x01a\x01x" * 100)
    assert decoder.decode(bytes.fromhex(block))[1] is lasting


def test_a_block_may_read_the_table():
    decoder = Decoder(4096, 65536)
    decoder.decode(bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572"))
    assert decoder.decode(b"\xbe") == (((b"custom-key", b"custom-header"),), False)
    assert decoder.decode(b"\x0f\x2f\x01v") == (((b"custom-key", b"v"),), False)


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # an index after both tables
        b"\x7f\x80\x80\x80\x80\x80\x80\x01",  # an integer without end
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x05ab",  # a string that ends after its block
        b"\x00",
        b"\x3f\xe2\x1f",  # a size update to 4097
        b"\x82\x20",  # a size update that is not first
        b"\x00\x81\xff\x01a",  # Huffman padding of eight ones
        b"\x7f",
    ],
)
def test_what_a_decoder_must_refuse(block):
    with pytest.raises(ConnectionFault) as caught:
        Decoder(4096, 65536).decode(block)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR


def test_a_list_over_the_limit_is_read_to_its_end_and_the_table_kept():
    decoder = Decoder(4096, 100)
    insert = b"\x40\x01a\x05value"
    with pytest.raises(HeaderListTooLarge):
        decoder.decode(insert + b"\x82" * 3)
    assert decoder.decode(b"\xbe")[0] == ((b"a", b"value"),)


def test_a_bomb_is_not_read_to_its_end():
    decoder = Decoder(4096, 16384)
    bomb = b"\x40\x01a" + encode_integer(4000, 7, 0) + b"x" * 4000 + b"\xbe" * 12_000
    with pytest.raises(ConnectionFault) as caught:
        decoder.decode(bomb)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_smaller_table_is_acknowledged_in_the_next_block_only():
    encoder, oracle = Encoder(), hpack.Decoder()
    oracle.max_allowed_table_size = oracle.header_table_size = 0
    encoder.table_size_shrunk()
    assert encoder.encode(GET)[:1] == b"\x20"
    assert encoder.encode(GET)[:1] != b"\x20"


def test_the_memory_of_an_encoder_is_bounded():
    encoder = Encoder()
    tracemalloc.start()
    try:
        for number in range(5000):
            encoder.encode(((b"name-%d" % number, b"value" * 50), (b"x", b"%d" % number)))
        assert tracemalloc.get_traced_memory()[0] < 1 << 19
    finally:
        tracemalloc.stop()


@given(st.lists(FIELDS, min_size=1, max_size=8), st.integers(0, 4000))
def test_the_limit_is_exact_whatever_the_table_holds(lists, limit):
    """A run of indexed fields is first held against a bound; what is refused is what is really too large."""
    peer, decoder = hpack.Encoder(), Decoder(4096, limit)
    for fields in [*lists, *lists]:
        size = sum(len(name) + len(value) + 32 for name, value in fields)
        block = peer.encode(fields)
        if size > 4 * limit:
            with pytest.raises(ConnectionFault):
                decoder.decode(block)
            return
        if size > limit:
            with pytest.raises(HeaderListTooLarge):
                decoder.decode(block)
        else:
            assert decoder.decode(block)[0] == tuple(fields)
