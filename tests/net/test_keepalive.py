import math

from meshkit.net.keepalive import Pinger, PingPolice, Pulse


def test_silence_is_asked_about_and_then_death():
    pinger = Pinger(10.0, 20.0, without_calls=False)
    assert pinger.check(heard=0.0, now=9.9, calls=True) is Pulse.REST
    assert pinger.due(heard=0.0, now=9.9) == 10.0
    assert pinger.check(heard=0.0, now=10.0, calls=True) is Pulse.PING
    assert pinger.due(heard=0.0, now=10.0) == 30.0
    assert pinger.check(heard=0.0, now=29.0, calls=True) is Pulse.REST
    assert pinger.check(heard=0.0, now=30.0, calls=True) is Pulse.DEAD


def test_any_byte_is_life():
    pinger = Pinger(10.0, 20.0, without_calls=False)
    assert pinger.check(heard=0.0, now=10.0, calls=True) is Pulse.PING
    assert pinger.check(heard=10.5, now=30.0, calls=True) is Pulse.PING
    assert pinger.due(heard=10.5, now=30.0) == 50.0


def test_without_calls_nothing_is_asked():
    pinger = Pinger(10.0, 20.0, without_calls=False)
    assert pinger.check(heard=0.0, now=100.0, calls=False) is Pulse.REST
    assert pinger.due(heard=0.0, now=100.0) == 110.0
    assert pinger.check(heard=0.0, now=110.0, calls=True) is Pulse.PING


def test_without_calls_it_may_be_told_to_ask():
    assert Pinger(10.0, 20.0, without_calls=True).check(heard=0.0, now=10.0, calls=False) is Pulse.PING


def test_off_is_infinity():
    pinger = Pinger(math.inf, 20.0, without_calls=True)
    assert pinger.check(heard=0.0, now=1e9, calls=True) is Pulse.REST
    assert pinger.due(heard=0.0, now=1e9) == math.inf


def test_third_early_ping_is_abuse():
    police = PingPolice(300.0, 2, without_calls=False)
    assert [police.abused(now, calls=True) for now in (0.0, 1.0, 2.0, 3.0)] == [False, False, False, True]


def test_patient_pings_are_no_strikes():
    police = PingPolice(300.0, 2, without_calls=False)
    assert not any(police.abused(now * 300.0, calls=True) for now in range(20))


def test_without_calls_two_hours_are_between_pings():
    police = PingPolice(300.0, 0, without_calls=False)
    assert not police.abused(0.0, calls=False)
    assert police.abused(7199.0, calls=False)


def test_what_we_send_forgives():
    police = PingPolice(300.0, 2, without_calls=False)
    for now in range(50):
        police.forgive()
        assert not police.abused(float(now), calls=True)
