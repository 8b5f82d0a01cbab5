"""What is opened to read is never changed (C12).

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import harness
import storage
import wire

SIZE = 4 * storage.MIB
REFUSED = [(wire.WRITE, 0, b"\x31" * 4096), (wire.WRITE, wire.FUA, bytes(4096)),
           (wire.ZERO, 0, b""), (wire.ZERO, wire.FAST_ZERO, b""),
           (wire.TRIM, 0, b"")]


def open_modes(pid, path):
    """The access modes of each open file of @path."""
    modes = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            is_image = os.readlink(f"/proc/{pid}/fd/{fd}") == str(path)
        except FileNotFoundError:
            continue  # a connection that has just ended
        if is_image:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                flags = next(x for x in f if x.startswith("flags:"))
            modes.append(int(flags.split()[1], 8) & os.O_ACCMODE)
    return modes


@pytest.mark.parametrize("options", ["", ",cache.direct=on"])
@pytest.mark.parametrize("kind", ["file", "device"])
def test_nothing_is_written(kind, options, store, start, dial, tmp_path,
                            count):
    where = store.filesystem_in(store.tmpfs("64m"), "ext4")[2]
    image = os.path.join(where, "image")
    with open(image, "wb") as f:
        f.write(harness.pattern(SIZE))
    path = store.loop(image, "--read-only") if kind == "device" else image
    before = os.stat(image)
    sock = tmp_path / "sock"
    driver = "host_device" if kind == "device" else "file"
    daemon = start(
        "--blockdev", f"driver={driver},node-name=f,filename={path},"
                      f"read-only=on,discard=unmap{options}",
        *harness.offer("f", "", False),
        "--nbd-server", f"addr.type=unix,addr.path={sock}",
        listen=[harness.unix(sock)])
    conn = dial(daemon, contexts=["base:allocation"])
    assert open_modes(daemon.pid, path) == [os.O_RDONLY]
    for command, flags, payload in REFUSED:
        reply = conn.call(command, 0, 4096, flags, payload)
        assert reply.error == wire.EPERM, (command, flags)
        count("modifications of read-only disks refused")
    assert conn.call(wire.FLUSH).error == wire.OK
    assert conn.call(wire.CACHE, 0, SIZE).error == wire.OK
    assert conn.call(wire.STATUS, 0, SIZE).error == wire.OK
    assert bytes(conn.call(wire.READ, 0, SIZE).data) == harness.pattern(SIZE)
    assert open_modes(daemon.pid, path) == [os.O_RDONLY]
    daemon.stop()
    after = os.stat(image)
    for what in ("st_mtime_ns", "st_ctime_ns", "st_size", "st_blocks"):
        assert getattr(before, what) == getattr(after, what), what
    with open(image, "rb") as f:
        assert f.read() == harness.pattern(SIZE)
