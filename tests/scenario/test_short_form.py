"""ashlard -f raw FILE serves one file and prints its URI.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import harness
import wire

pytestmark = pytest.mark.beyond_qemu


# The default port is nobody else's in a network of the daemon's own.
USER = [] if os.getuid() == 0 else ["--map-root-user"]
OWN_NETWORK = ["unshare", *USER, "--net", "sh", "-ec",
               'ip link set lo up; exec "$@"', "sh"]


def test_default_address(start, image, run):
    daemon = start("-f", "raw", image(size=4 << 20), prefix=OWN_NETWORK)
    uri = daemon.process.stdout.readline().decode().rstrip("\n")
    assert uri == "nbd://127.0.0.1:10809/"
    enter = ["nsenter", "--target", daemon.pid, "--net"]
    if USER:
        enter += ["--user", "--preserve-credentials"]
    assert run(*enter, "nbdinfo", "--size", uri).stdout == f"{4 << 20}\n"
    sockets = run(*enter, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    listening = [line.split()[1] for line in sockets.splitlines()
                 if " 0A " in line]
    assert listening == ["0100007F:2A39"]  # 127.0.0.1, port 10809


def test_port_and_address(start, image, run):
    port = harness.free_port("::1")
    daemon = start("-f", "raw", "--port", port, "--bind", "::1",
                   "--export-name", "my disk", image(size=4 << 20),
                   listen=[harness.tcp(port, "::1")])
    uri = daemon.process.stdout.readline().decode().rstrip("\n")
    assert uri == f"nbd://[::1]:{port}/my%20disk"
    assert run("nbdinfo", "--size", uri).stdout == f"{4 << 20}\n"


@pytest.mark.parametrize("read_only", [False, True])
def test_unix_socket(start, image, run, dial, tmp_path, read_only):
    sock = tmp_path / "nbd.sock"
    path = image(size=4 << 20, data={0: b"content"})
    daemon = start("-f", "raw", "--socket", sock,
                   *["--read-only"] * read_only, path,
                   listen=[harness.unix(sock)])
    uri = daemon.process.stdout.readline().decode().rstrip("\n")
    assert uri == f"nbd+unix:///?socket={sock}"
    conn = dial(daemon)
    assert conn.call(wire.READ, 0, 7).data == b"content"
    error = conn.call(wire.WRITE, 0, 3, payload=b"new").error
    assert error == (wire.EPERM if read_only else wire.OK)
    conn.close()
    daemon.stop()
    assert path.read_bytes()[:7] == (b"content" if read_only else b"newtent")


def test_no_format_is_guessed(image, refuse, tmp_path):
    path = image()
    assert "-f" in refuse("--socket", tmp_path / "nbd.sock", path)
