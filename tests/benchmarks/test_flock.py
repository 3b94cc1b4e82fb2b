"""The load of many connections, against servers whose counts are known."""

import asyncio

from benchmarks.stacks import grpc_aio, meshkit_stack
from benchmarks.stacks.flock import Answers, connected, offer, settled


async def test_every_call_that_was_due_is_answered() -> None:
    for stack in (meshkit_stack, grpc_aio):
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(stack.serve(port.set_result))
        answers = Answers()
        connections = await connected(await port, 5, answers)
        await offer(connections, 50, 0.2)  # ten on each: more than ten that wait would not be made
        await settled(answers)
        assert (answers.due, answers.answered, answers.refused, len(answers.late)) == (50, 50, 0, 50)
        for connection in connections:
            connection.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
