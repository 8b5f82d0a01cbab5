"""locking=off takes no lock; force-share opens beside a writer, read-only.

SPDX-License-Identifier: BSD-3-Clause
"""
import harness
import wire


def test_locking_off(serve, image, run, dial):
    path = image()
    daemon = serve(path, protocol=",locking=off")
    assert dial(daemon).call(wire.WRITE, 0, 1, payload=b"x").error == wire.OK
    run("qemu-io", "-f", "raw", "-c", "write -P 7 512 512", path)
    assert dial(daemon).call(wire.READ, 512, 1).data == b"\x07"


def test_locking_off_beside_a_writer(serve, image):
    path = image()
    serve(path)
    serve(path, protocol=",locking=off")


def shared(path, read_only="on"):
    return ["--blockdev",
            f"driver=raw,node-name=disk,read-only={read_only},force-share=on,"
            f"file.driver=file,file.filename={path}"]


def test_force_share(serve, start, image, dial, tmp_path):
    path = image()
    writer = dial(serve(path))
    reader = dial(start(
        *shared(path), "--nbd-server",
        f"addr.type=unix,addr.path={tmp_path}/r.sock",
        *harness.offer("disk", writable=False),
        listen=[harness.unix(tmp_path / "r.sock")]))
    assert writer.call(wire.WRITE, 0, 3, payload=b"new").error == wire.OK
    assert reader.call(wire.READ, 0, 3).data == b"new"


def test_force_share_needs_read_only(image, refuse, tmp_path):
    said = refuse(*shared(image(), read_only="off"), "--nbd-server",
                  f"addr.type=unix,addr.path={tmp_path}/r.sock",
                  *harness.offer("disk"))
    assert "force-share" in said
    assert "read-only" in said
