import asyncio
import math

from meshkit.net import Timers
from meshkit.net.chores import Chores
from tests.support.waiting import until


async def test_chores_share_a_timer_that_follows_the_earliest():
    ran: list[str] = []

    def often(now: float) -> float:
        ran.append("often")
        return now + 0.01

    def never(now: float) -> float:
        ran.append("never")
        return math.inf

    rounds: list[int] = []
    chores = Chores(Timers.of(asyncio.get_running_loop()), (often, never), lambda: rounds.append(len(ran)))
    chores.run()
    assert ran == ["often", "never"]
    await until(lambda: len(rounds) >= 3)
    chores.stop()
    assert chores.due == math.inf


async def test_only_an_earlier_deadline_moves_the_timer():
    loop = asyncio.get_running_loop()
    rounds: list[float] = []
    chores = Chores(Timers.of(loop), (lambda _: math.inf,), lambda: rounds.append(loop.time()))
    now = loop.time()
    chores.at(now + 60)
    chores.at(now + 0.01)
    chores.at(now + 30)
    assert chores.due == now + 0.01
    await until(lambda: rounds)
    assert chores.due == math.inf


async def test_chores_can_be_added():
    ran: list[float] = []
    chores = Chores(Timers.of(asyncio.get_running_loop()), (), lambda: None)
    chores.add(lambda now: ran.append(now) or math.inf)
    chores.run()
    assert len(ran) == 1
