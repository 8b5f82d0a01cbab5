"""After SIGTERM new requests get ESHUTDOWN while those in flight finish.

SPDX-License-Identifier: BSD-3-Clause
"""
import time

import pytest

import harness
import wire
from test_sigterm_drains import have_in_flight, slow_daemon

pytestmark = pytest.mark.beyond_qemu


def test_new_requests_get_eshutdown(start, dial, tmp_path):
    daemon = slow_daemon(start, tmp_path, 1500)
    conn = dial(daemon)
    cookies = have_in_flight(conn, 8)
    daemon.terminate()
    later = []
    answers = {}
    # A request may still arrive before the signal does.
    while not answers:
        later.append(conn.send(wire.WRITE, 0, 512, payload=bytes(512)))
        conn.sock.settimeout(0.05)
        try:
            answers.update([conn.receive()])
        except TimeoutError:
            pass
        assert len(later) < 25, "no request was refused"
    conn.sock.settimeout(harness.PATIENCE)
    late = conn.send(wire.WRITE, 0, 512, payload=bytes(512))
    answers.update(conn.receive() for _ in range(len(cookies) + len(later)))
    assert answers[late].error == wire.ESHUTDOWN
    assert {answers[c].error for c in cookies} == {wire.OK}
    errors = [answers[c].error for c in later]
    assert set(errors) <= {wire.OK, wire.ESHUTDOWN}
    assert errors == sorted(errors)
    assert daemon.wait() == 0


def test_no_new_connection(start, dial, tmp_path):
    daemon = slow_daemon(start, tmp_path, 1000)
    conn = dial(daemon)
    cookies = have_in_flight(conn, 2)
    daemon.terminate()
    harness.wait_until(lambda: not harness.listens(daemon.listen[0]),
                       "the listener to go", 0.9)
    began = time.monotonic()
    assert [conn.receive()[1].error for _ in cookies] == [wire.OK, wire.OK]
    assert time.monotonic() - began < 5
    assert daemon.wait() == 0
