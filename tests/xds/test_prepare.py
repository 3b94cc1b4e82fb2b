"""What is made ahead is all that plain resources need; what is made a little later, all that rules do."""

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
from meshkit.xds import prepare, prepare_rules
from meshkit.xds.assignments import decode_assignment
from meshkit.xds.clusters import decode_cluster
from meshkit.xds.routes import decode_routes
slices = sum(1 for _ in prepare())
assert slices >= 14 and len(made) >= 14, made
before = len(made)
*plain, ruled = sys.argv[1:]
routes, cluster, endpoints = map(bytes.fromhex, plain)
decode_routes(routes), decode_cluster(cluster), list(decode_assignment(endpoints))
assert len(made) == before, made[before:]
assert sum(1 for _ in prepare()) == slices and len(made) == before
list(prepare_rules())
before = len(made)
decode_routes(bytes.fromhex(ruled))
assert len(made) == before, made[before:]
"""


def test_resources_find_their_decoders_made() -> None:
    ruled = routes("r", ("a", 1))
    for name, match in (("exact", "admin"), ("prefix", "a")):
        setattr(ruled.virtual_hosts[0].routes[0].match.headers.add(name="user").string_match, name, match)
    ruled.virtual_hosts[0].routes[0].match.headers.add(name="user").string_match.safe_regex.regex = "a.*"
    plain = routes("r", ("a", 1))
    plain.virtual_hosts[0].routes[0].route.cluster = "a"  # in place of the weights
    messages = (plain, cluster("a"), endpoints("a", "127.0.0.1:1"), ruled)
    arguments = [message.SerializeToString().hex() for message in messages]
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
