"""grpcio's own health and reflection clients learn everything they need from our server."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.echo_service import serving

SCRIPT = Path(__file__).parents[1] / "support" / "ask_with_grpcio.py"


@pytest.mark.capability("health and reflection", peer="grpcio")
async def test_health_and_reflection() -> None:
    async with serving() as (_, address):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), address, "hi", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        learned = json.loads(out)
    assert "echo.v1.Echo" in learned.pop("services")
    assert learned == {"empty": "google.protobuf.Empty", "reply": "hi", "check": 1, "watch": 1, "host": "h"}
