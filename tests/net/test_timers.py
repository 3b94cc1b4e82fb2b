import asyncio

from hypothesis import given
from hypothesis import strategies as st

from meshkit.net import Timers
from tests.support.waiting import until


async def test_callbacks_run_in_order_of_deadline():
    loop = asyncio.get_running_loop()
    timers, ran = Timers(loop), []
    now = loop.time()
    for delay in (0.02, 0.0, 0.01):
        timers.schedule(now + delay, lambda delay=delay: ran.append(delay))
    await until(lambda: ran == [0.0, 0.01, 0.02])
    assert len(timers) == 0


async def test_a_cancelled_timer_never_runs():
    loop = asyncio.get_running_loop()
    timers, ran = Timers(loop), []
    first = timers.schedule(loop.time(), lambda: ran.append("first"))
    timers.schedule(loop.time() + 0.01, lambda: ran.append("second"))
    first.cancel()
    first.cancel()
    assert len(timers) == 1
    await until(lambda: ran == ["second"])


async def test_an_earlier_deadline_moves_the_loop_timer():
    loop = asyncio.get_running_loop()
    timers, ran = Timers(loop), []
    late = timers.schedule(loop.time() + 60, lambda: ran.append("late"))
    timers.schedule(loop.time() + 0.01, lambda: ran.append("early"))
    await until(lambda: ran == ["early"])
    late.cancel()


async def test_a_callback_may_schedule_and_cancel():
    loop = asyncio.get_running_loop()
    timers, ran = Timers(loop), []
    doomed = timers.schedule(loop.time() + 0.01, lambda: ran.append("doomed"))

    def first() -> None:
        doomed.cancel()
        timers.schedule(loop.time(), lambda: ran.append("again"))

    timers.schedule(loop.time(), first)
    await until(lambda: ran == ["again"])


async def test_cancelling_after_it_ran_changes_no_count():
    loop = asyncio.get_running_loop()
    timers = Timers(loop)
    timer = timers.schedule(loop.time(), lambda: None)
    await until(lambda: timer.callback is None)
    timer.cancel()
    assert len(timers) == 0


async def test_cancelled_entries_do_not_pile_up():
    loop = asyncio.get_running_loop()
    timers = Timers(loop)
    keep = timers.schedule(loop.time() + 1, lambda: None)
    for _ in range(10_000):
        timers.schedule(loop.time() + 100, lambda: None).cancel()
    assert len(timers) == 1
    assert len(timers._heap) < 2_000
    keep.cancel()


async def test_a_failing_callback_is_reported_and_the_others_run():
    loop = asyncio.get_running_loop()
    timers, ran, seen = Timers(loop), [], []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    timers.schedule(loop.time(), lambda: 1 / 0)
    timers.schedule(loop.time(), lambda: ran.append("next"))
    await until(lambda: ran == ["next"])
    assert isinstance(seen[0], ZeroDivisionError)


async def test_one_loop_has_one_set_of_timers():
    loop = asyncio.get_running_loop()
    assert Timers.of(loop) is Timers.of(loop)


class _Loop:
    """A loop whose time is turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[_Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when, callback):
        self.calls.append(_Handle(when, callback))
        return self.calls[-1]

    def turn_to(self, now: float) -> None:
        self.now = now
        due, self.calls = [c for c in self.calls if c.when <= now], [c for c in self.calls if c.when > now]
        for call in due:
            if not call.cancelled:
                call.callback()


class _Handle:
    def __init__(self, when, callback) -> None:
        self.when, self.callback, self.cancelled = when, callback, False

    def cancel(self) -> None:
        self.cancelled = True


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40))
def test_whatever_is_cancelled_the_rest_runs_once_and_on_time(plan):
    loop = _Loop()
    timers, ran = Timers(loop), []
    made = [timers.schedule(float(at), lambda i=i: ran.append((int(loop.now), i))) for i, (at, _) in enumerate(plan)]
    for timer, (_, cancel) in zip(made, plan, strict=True):
        if cancel:
            timer.cancel()
    for now in range(51):
        loop.turn_to(now + 0.01)
    assert sorted(ran) == sorted((at, i) for i, (at, cancel) in enumerate(plan) if not cancel)
    assert len(timers) == 0
    assert not any(not call.cancelled for call in loop.calls)
