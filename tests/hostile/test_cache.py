"""CACHE: 28 bytes that ask for much work.

SPDX-License-Identifier: BSD-3-Clause
"""
import harness
import wire
from shapes import header

GIB = 1 << 30


def test_memory_and_work_of_many(target, count):
    """bug-classes 31: prefetching is counted, and ends with the client."""
    victim = target(size=64 * GIB, nodes=[
        "driver=file,node-name=disk,filename=FILE,cache.direct=on"],
        options=("--memory-limit", "64M", "--connection-memory", "8M"))
    before = victim.rss()
    conns = [victim.wire("extended") for _ in range(3)]
    for conn in conns:
        conn.put(header("extended", wire.CACHE, length=64 * GIB) * 1000)
    peak = 0
    for _ in range(20):
        victim.serve_honest(harness.PATIENCE)
        peak = max(peak, victim.rss())
    count("inputs tried", 3000)
    count("MiB for 3000 CACHE of 64 GiB", round(peak - before))
    # What is read goes beside what counts it, but not beyond.
    assert peak - before <= 2 * 3 * 8 + 2 * 16
    victim.close_all()
    harness.wait_until(lambda: victim.fds() <= victim.before_fds,
                       "the connections to end", 5)
