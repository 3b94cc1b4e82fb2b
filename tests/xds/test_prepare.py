"""What is made ahead is all that plain resources need."""

from __future__ import annotations

import subprocess
import sys

from tests.support.ads_server import cluster, endpoints, routes

# Generated decoders pass by the audit event "exec"; a process of its own, as its tables must be new.
_PROGRAM = """
import sys
made = []
def audit(event, arguments):
    if event == "exec" and "meshkit.codec decode" in arguments[0].co_filename:
        made.append(arguments[0].co_filename)
sys.addaudithook(audit)
from meshkit.xds import prepare
from meshkit.xds.assignments import decode_assignment
from meshkit.xds.clusters import decode_cluster
from meshkit.xds.routes import decode_routes
slices = sum(1 for _ in prepare())
assert slices >= 14 and len(made) >= 14, made
before = len(made)
routes, cluster, endpoints = map(bytes.fromhex, sys.argv[1:])
decode_routes(routes), decode_cluster(cluster), list(decode_assignment(endpoints))
assert len(made) == before, made[before:]
assert sum(1 for _ in prepare()) == slices and len(made) == before
"""


def test_plain_resources_find_their_decoders_made() -> None:
    messages = (routes("r", ("a", 1)), cluster("a"), endpoints("a", "127.0.0.1:1"))
    arguments = [message.SerializeToString().hex() for message in messages]
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
