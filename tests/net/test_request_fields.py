from meshkit.net.request_fields import RequestFields

FIELDS = RequestFields(b"host:80", b"agent/1", secure=False)


def test_the_order_grpc_wants():
    made = FIELDS(b"/a/B", None, b"gzip", False, ((b"grpc-timeout", b"1S"), (b"x-user", b"ada")))
    assert [name for name, _ in made] == [
        b":method",
        b":scheme",
        b":path",
        b":authority",
        b"grpc-timeout",
        b"te",
        b"content-type",
        b"user-agent",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"x-user",
    ]
    assert dict(made)[b":authority"] == b"host:80"


def test_compressed_answers_are_for_those_who_ask():
    accepted = {
        asked: dict(FIELDS(b"/a/B", None, encoding, accept, ())).get(b"grpc-accept-encoding")
        for asked, encoding, accept in (("no", None, False), ("yes", None, True), ("sends gzip", b"gzip", False))
    }
    assert accepted == {"no": None, "yes": b"identity,deflate,gzip", "sends gzip": b"identity,deflate,gzip"}


def test_another_authority():
    assert dict(FIELDS(b"/a/B", b"other", None, False, ()))[b":authority"] == b"other"


def test_a_call_that_chooses_nothing_has_the_fields_of_one_that_does():
    timeout = ((b"grpc-timeout", b"1S"),)
    assert FIELDS.of_unary(b"/a/B", timeout) == FIELDS(b"/a/B", None, None, False, timeout)
    assert FIELDS.of_unary(b"/a/B", timeout) is FIELDS.of_unary(b"/a/B", ((b"grpc-timeout", b"1S"),))


def test_schemes():
    assert dict(RequestFields(b"h", b"a", secure=True)(b"/", None, None, False, ()))[b":scheme"] == b"https"


def test_what_is_remembered_is_bounded():
    fields = RequestFields(b"h", b"a", secure=False)
    for number in range(3000):
        fields.of_unary(b"/%d" % number, ())
    assert len(fields._known) <= 1024
