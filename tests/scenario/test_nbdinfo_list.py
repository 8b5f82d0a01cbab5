"""nbdinfo --list names every export with its size and description.

SPDX-License-Identifier: BSD-3-Clause
"""
import json

import harness


def test_list(start, image, run, tmp_path):
    sock = tmp_path / "nbd.sock"
    args = []
    for n in range(1, 4):
        args += harness.graph(image(f"{n}.img", n << 20), f"disk{n}")
    args += ["--nbd-server", f"addr.type=unix,addr.path={sock}"]
    for n in range(1, 4):
        args += harness.offer(f"disk{n}", f"volume {n}",
                              more=f",description=number {n}")
    start(*args, listen=[harness.unix(sock)])
    told = json.loads(run("nbdinfo", "--list", "--json",
                          f"nbd+unix:///?socket={sock}").stdout)
    seen = {(e["export-name"], e["export-size"], e["description"])
            for e in told["exports"]}
    assert seen == {(f"volume {n}", n << 20, f"number {n}")
                    for n in range(1, 4)}
