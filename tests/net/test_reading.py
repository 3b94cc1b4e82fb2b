from meshkit.net.reading import Reading


class Transport:
    """Records what it is told."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = False

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing


def reading(limit: int = 100) -> tuple[Reading, Transport]:
    made, transport = Reading(limit), Transport()
    made.transport = transport
    return made, transport


def test_an_application_that_lags_pauses_until_half_is_consumed():
    made, transport = reading()
    made.took(60)
    assert transport.reading
    made.took(60)
    assert not transport.reading
    made.consumed(60)
    assert not transport.reading
    made.consumed(10)
    assert transport.reading
    assert made.unread == 50


def test_a_peer_that_makes_us_answer_and_does_not_read_pauses():
    made, transport = reading()
    made.induced(16 << 10)
    assert transport.reading
    made.induced(1)
    assert not transport.reading
    assert made.paused
    made.relieved()
    assert transport.reading
    made.induced(16 << 10)
    assert transport.reading


def test_both_reasons_must_go():
    made, transport = reading()
    made.took(200)
    made.induced(1 << 20)
    made.relieved()
    assert not transport.reading
    made.consumed(200)
    assert transport.reading


def test_a_closing_transport_is_left_alone():
    made, transport = reading()
    made.took(200)
    transport.closing = True
    made.consumed(200)
    assert not transport.reading
    assert not made.paused


def test_without_a_transport_it_only_counts():
    made = Reading(100)
    made.took(200)
    made.consumed(200)
    assert made.unread == 0
