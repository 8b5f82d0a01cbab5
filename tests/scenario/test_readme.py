"""The commands of README.md and of docs/drivers/ work, in the order in which
they stand on their page.

All ```sh blocks of a page but those of ./dev run as one shell script, in a
folder and, where the machine allows it, a network of their own: the default
port is in use by nobody else there.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ASHLAR_BUILD", ROOT / "build/asan"))
PAGES = sorted(str(p.relative_to(ROOT)) for p in
               [ROOT / "README.md", *ROOT.glob("docs/drivers/*.md")])
# Who is root already stays it also for devices.
OWN_NETWORK = ["unshare", "--net",
               *(["--map-root-user"] if os.geteuid() != 0 else [])]
# What "ip link set lo up" does: SIOCSIFFLAGS with IFF_UP | IFF_RUNNING.
LOOPBACK_UP = """/usr/bin/python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 0x41))'
"""

CLEAN_UP = """
# A daemon that has ended by itself can't be killed; nothing is judged here.
clean_up() {
    for f in *.pid; do
        [ ! -e "$f" ] || kill -KILL "$(cat "$f")" 2>/dev/null || true
    done
}
trap clean_up EXIT
"""


def blocks(page):
    found = re.findall(r"^```sh\n(.*?)^```$",
                       (ROOT / page).read_text(), re.M | re.S)
    return [b for b in found if not b.startswith("./dev")]


def test_pages_have_commands():
    assert len(blocks("README.md")) >= 3
    assert len([p for p in PAGES if blocks(p)]) >= 6


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)])
def test_commands_of_a_page_work(page, tmp_path):
    parts = blocks(page)
    shell = ["bash", "-euxo", "pipefail", "script"]
    script = CLEAN_UP + "\n".join(parts)
    if subprocess.run([*OWN_NETWORK, "true"], check=False,
                      capture_output=True).returncode == 0:
        shell = OWN_NETWORK + shell
        script = LOOPBACK_UP + script
    (tmp_path / "script").write_text(script)
    path = f"{BUILD / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(shell, cwd=tmp_path, check=False, text=True,
                          timeout=120, env={**os.environ, "PATH": path},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    print(f"{len(parts)} blocks, "
          f"{sum(l.startswith('+ ') for l in done.stdout.splitlines())} "
          "commands")
