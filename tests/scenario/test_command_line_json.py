"""--blockdev, --nbd-server and --export take JSON as well as key=value.

SPDX-License-Identifier: BSD-3-Clause
"""
import json

import harness


def test_json(start, image, dial, tmp_path):
    sock = tmp_path / "a,b.sock"
    path = image("comma,equals=.img", 3 << 20)
    daemon = start(
        "--blockdev", json.dumps({
            "driver": "raw", "node-name": "disk", "file": {
                "driver": "file", "filename": str(path),
                "cache": {"direct": False}}}),
        "--nbd-server", json.dumps({
            "addr": {"type": "unix", "path": str(sock)}}),
        "--export=" + json.dumps({
            "type": "nbd", "id": "x", "node-name": "disk", "name": "ünï",
            "writable": True}),
        listen=[harness.unix(sock)])
    assert dial(daemon, export="ünï").size == 3 << 20


def test_doubled_commas(start, image, dial, tmp_path):
    sock = str(tmp_path / "a,b.sock")
    path = str(image("comma,equals=.img", 3 << 20))
    daemon = start(
        "--blockdev", "driver=raw,node-name=disk,file.driver=file,"
                      "file.filename=" + path.replace(",", ",,"),
        "--nbd-server", "addr.type=unix,addr.path=" + sock.replace(",", ",,"),
        "--export", "nbd,id=x,node-name=disk,name=one,,two",
        listen=[harness.unix(sock)])
    assert dial(daemon, export="one,two").size == 3 << 20
