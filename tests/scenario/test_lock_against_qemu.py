"""QEMU's programs cannot open what the daemon writes, nor it what they write.

SPDX-License-Identifier: BSD-3-Clause
"""
import subprocess

import pytest

import harness


@pytest.fixture
def qcow2(tmp_path, run):
    """A file with a qcow2 image in it: QEMU reads it for itself alone."""
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-f", "qcow2", path, "3M")
    return path


@pytest.fixture
def qemu_io():
    """qemu_io(path, *options): a qemu-io that holds the file open."""
    processes = []

    def launch(path, *options):
        process = subprocess.Popen(
            ["qemu-io", *options, str(path)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        process.stdin.write("length\n")
        process.stdin.flush()
        assert "iB" in process.stdout.readline()
        return process
    yield launch
    for process in processes:
        if process.poll() is None:
            process.communicate("quit\n", timeout=harness.PATIENCE)


def writer(path, tmp_path):
    return ["--nbd-server", f"addr.type=unix,addr.path={tmp_path}/w.sock",
            *harness.graph(path), *harness.offer("disk")]


@pytest.mark.parametrize("command", [
    ["qemu-img", "info"], ["qemu-img", "check"], ["qemu-img", "map"],
    ["qemu-img", "snapshot", "-l"], ["qemu-io", "-c", "read 0 512"],
], ids=" ".join)
def test_reading_qemu_is_refused(serve, qcow2, run, command):
    serve(qcow2)
    assert "lock" in run(*command, qcow2, status=1).stderr


@pytest.mark.beyond_qemu
@pytest.mark.parametrize("command", [
    ["qemu-img", "resize", "-f", "raw", "{}", "2M"],
    ["qemu-img", "convert", "-n", "-O", "raw", "{}.source", "{}"],
    ["qemu-io", "-f", "raw", "-c", "write 0 512", "{}"],
], ids=lambda command: command[1] if command[0] == "qemu-img" else "qemu-io")
def test_writing_qemu_is_refused(serve, image, run, command):
    path = image(data={0: b"content"})
    image("disk.img.source")
    serve(path)
    done = run(*[word.replace("{}", str(path)) for word in command], status=1)
    assert "lock" in done.stderr
    assert path.stat().st_size == 1 << 20
    assert path.read_bytes()[:7] == b"content"


def test_unsafe_look_is_allowed(serve, qcow2, run):
    serve(qcow2)
    assert "3 MiB" in run("qemu-img", "info", "-U", qcow2).stdout


def test_readers_share(serve, qcow2, run, qemu_io):
    serve(qcow2, read_only=True)
    run("qemu-img", "info", qcow2)
    qemu_io(qcow2, "-r")
    serve(qcow2, read_only=True)


@pytest.mark.parametrize("options", [
    ["-f", "qcow2"], ["-f", "qcow2", "-r"],
    pytest.param(["-f", "raw"], marks=pytest.mark.beyond_qemu),
], ids=" ".join)
def test_daemon_is_refused(qcow2, qemu_io, refuse, serve, tmp_path, options):
    holder = qemu_io(qcow2, *options)
    said = refuse(*writer(qcow2, tmp_path))
    assert "lock" in said
    assert "disk" in said
    assert not harness.listens(harness.unix(tmp_path / "w.sock"))
    holder.communicate("quit\n", timeout=harness.PATIENCE)
    serve(qcow2)


@pytest.mark.beyond_qemu
def test_daemon_is_refused_beside_a_storage_daemon(image, refuse, tmp_path):
    path = image()
    pidfile = tmp_path / "pid"
    command = ["qemu-storage-daemon", *harness.graph(path), "--nbd-server",
               f"addr.type=unix,addr.path={tmp_path}/q.sock",
               *harness.offer("disk"), "--pidfile", pidfile]
    with subprocess.Popen(command) as other:
        try:
            harness.wait_until(pidfile.exists, "qemu-storage-daemon")
            assert "lock" in refuse(*writer(path, tmp_path))
        finally:
            other.terminate()


def test_no_lock_is_left(serve, image, run):
    path = image()
    serve(path).stop()
    run("qemu-io", "-f", "raw", "-c", "write 0 512", path)
    serve(path).kill()
    run("qemu-io", "-f", "raw", "-c", "write 0 512", path)
    serve(path)
