"""What a call costs, counted in calls of functions: a number that no machine changes, so that it cannot creep up."""

from benchmarks.wire_engine import calls_per_rpc

CEILING = 27  # Python's own and builtins, both ends of a unary call together


def test_a_unary_call_takes_few_function_calls():
    assert calls_per_rpc() <= CEILING
