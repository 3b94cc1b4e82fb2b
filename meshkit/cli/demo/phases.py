"""The phases of the demo: what is done, and what must then hold of the calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meshkit.cli.demo.load import Tally
from meshkit.cli.demo.rules import ALL_TO_V1, HEADER_TO_V2, SPLIT_90_10, write_rule
from meshkit.cli.demo.stage import Stage

__all__ = ["PHASES", "Phase"]


@dataclass(frozen=True, slots=True)
class Phase:
    """``act`` changes something; within ``settle`` seconds of it the calls must begin to satisfy ``holds``, which says
    what is wrong, or nothing; then all calls of ``watch`` seconds must. ``settle`` is for a machine that does much
    else: it takes a fraction of a second on an idle one."""

    title: str
    act: Callable[[Stage], Awaitable[None]]
    holds: Callable[[Tally], str]
    settle: float = 20.0
    watch: float = 1.5


async def _all_to_v1(stage: Stage) -> None:
    write_rule(stage.rules, "routes", ALL_TO_V1)


async def _header(stage: Stage) -> None:
    write_rule(stage.rules, "routes", HEADER_TO_V2)


async def _split(stage: Stage) -> None:
    write_rule(stage.rules, "routes", SPLIT_90_10)


async def _kill_server(stage: Stage) -> None:
    stage.processes.kill("v1-a")
    await asyncio.sleep(1.0)
    await stage.start_server("v1-a")


async def _kill_control_plane(stage: Stage) -> None:
    stage.processes.kill("control")
    await asyncio.sleep(5.0)
    await stage.start_control_plane()
    write_rule(stage.rules, "routes", ALL_TO_V1)


async def _move(stage: Stage) -> None:
    await stage.start_server("next-a")
    await asyncio.sleep(0.5)
    await asyncio.gather(*(stage.processes.stop(name) for name in ("v1-a", "v1-b", "v2-a")))


def _only(word: str, servers: int) -> Callable[[Tally], str]:
    def holds(tally: Tally) -> str:
        if tally.share(word) < 1:
            return f"{tally.share(word):.1%} of plain calls went to {word}, not all: {dict(tally.plain)}"
        if tally.answered_by(word) != servers:
            return f"{tally.answered_by(word)} servers of {word} answered, not {servers}"
        return ""

    return holds


def _admin_to_v2(tally: Tally) -> str:
    strays = [who for who in tally.admin if "v2" not in who.split()]
    return f"calls with user: admin were answered by {strays}" if strays or not tally.admin else ""


def _header_holds(tally: Tally) -> str:
    return _admin_to_v2(tally) or _only("v1", 2)(tally)


def _split_holds(tally: Tally) -> str:
    count = tally.plain.total()
    allowed = 6 * math.sqrt(0.1 * 0.9 / max(1, count))  # which chance exceeds once in 500 million times
    if allowed >= 0.1:
        return f"{count} plain calls are too few to tell 10 % from none"
    if abs(tally.share("v2") - 0.1) > allowed:
        return f"{tally.share('v2'):.1%} of {count} plain calls went to v2, not 10 % within {allowed:.1%}"
    return _admin_to_v2(tally)


def _split_of_all(tally: Tally) -> str:
    if tally.answered_by("v1") != 2:
        return f"{tally.answered_by('v1')} servers of v1 answer, not 2"
    return _split_holds(tally)


PHASES = (
    Phase("all calls to v1", _all_to_v1, _only("v1", 2)),
    Phase("header user: admin to v2", _header, _header_holds),
    Phase("90/10 by editing the YAML", _split, _split_holds, watch=2.5),
    Phase("a v1 server killed, and started again", _kill_server, _split_of_all, watch=2.5),
    Phase("control plane killed for 5 s, and started again", _kill_control_plane, _only("v1", 2)),
    Phase("the interface moved to another service", _move, _only("next", 1)),
)
