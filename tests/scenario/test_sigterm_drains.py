"""SIGTERM lets requests in flight finish, then the daemon ends with status 0.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness
import wire

MS = 1000000


def slow_daemon(start, tmp_path, latency_ms):
    sock = tmp_path / "nbd.sock"
    return start("--blockdev", "driver=null-co,node-name=slow,size=1048576,"
                               f"latency-ns={latency_ms * MS}",
                 "--nbd-server", f"addr.type=unix,addr.path={sock}",
                 *harness.offer("slow"), listen=[harness.unix(sock)])


def have_in_flight(conn, n):
    """Send @n slow requests; they have reached the disk on return."""
    cookies = [conn.send(wire.WRITE, i * 4096, 4096, payload=bytes(4096))
               for i in range(n)]
    # One that is refused at once: the server has read all before it.
    last = conn.send(wire.READ, 1 << 20, 4096)
    cookie, reply = conn.receive()
    assert (cookie, reply.error) == (last, wire.EINVAL)
    return cookies


@pytest.mark.beyond_qemu
def test_requests_in_flight_finish(start, dial, tmp_path, count):
    daemon = slow_daemon(start, tmp_path, 300)
    conns = [dial(daemon) for _ in range(3)]
    cookies = [have_in_flight(conn, 8) for conn in conns]
    daemon.terminate()
    for conn, expected in zip(conns, cookies):
        replies = dict(conn.receive() for _ in expected)
        assert set(replies) == set(expected)
        assert {reply.error for reply in replies.values()} == {wire.OK}
        count("requests drained", len(replies))
    assert daemon.wait() == 0
    assert not harness.listens(daemon.listen[0])


def test_idle_and_half_open_clients_do_not_delay(start, dial, tmp_path):
    daemon = slow_daemon(start, tmp_path, 1)
    conns = [dial(daemon) for _ in range(3)]
    silent = [harness.dial(daemon.listen[0]) for _ in range(3)]
    assert conns[0].call(wire.READ, 0, 512).error == wire.OK
    daemon.terminate()
    assert daemon.wait(patience=4) == 0
    for s in silent:
        s.close()
