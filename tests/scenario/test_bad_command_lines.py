"""A wrong command line ends with status 1, names the object, leaves nothing.

SPDX-License-Identifier: BSD-3-Clause
"""
import json
import os

import pytest

import harness

LONG = "n" * 32
FILE = "driver=file,node-name=one,filename=DISK"
NULL = "driver=null-co,node-name=one,size=1048576"
EXPORT = "nbd,id=e,node-name=one"
SERVE_NULL = ["--blockdev", NULL, "--export", EXPORT]

# (what the message names, the arguments after a listener); DISK and FOLDER
# stand for paths.
CASES = {
    "misspelt option": (
        "cache.dirct", ["--blockdev", FILE + ",cache.dirct=on"]),
    "misspelt nested option": (
        "file.filenam", ["--blockdev", "driver=raw,node-name=one,"
                         "file.driver=file,file.filenam=DISK"]),
    "misspelt option in JSON": (
        "filenam", ["--blockdev", json.dumps(
            {"driver": "file", "node-name": "one", "filenam": "x"})]),
    "misspelt export option": (
        "writeable", ["--blockdev", NULL, "--export",
                      EXPORT + ",writeable=on"]),
    "bad boolean": ("maybe", ["--blockdev", FILE + ",read-only=maybe"]),
    "bad size": ("12Q", ["--blockdev", "driver=null-co,node-name=one,"
                         "size=12Q"]),
    "negative size": ("-1", ["--blockdev", "driver=null-co,node-name=one,"
                             "size=-1"]),
    "bad choice": ("sometimes", ["--blockdev", FILE + ",discard=sometimes"]),
    "missing option": ("filename", ["--blockdev",
                                    "driver=file,node-name=one"]),
    "unknown driver": ("qcow7", ["--blockdev",
                                 "driver=qcow7,node-name=one"]),
    "no driver": ("driver", ["--blockdev", "node-name=one"]),
    "unknown node": ("nosuch", ["--export", "nbd,id=e,node-name=nosuch"]),
    "unknown child": ("nosuch", ["--blockdev",
                                 "driver=raw,node-name=one,file=nosuch"]),
    "duplicate node": ("one", ["--blockdev", NULL, "--blockdev", NULL]),
    "long node name": (LONG, ["--blockdev", "driver=null-co,size=512,"
                              "node-name=" + LONG]),
    "odd node name": ("a/b", ["--blockdev", "driver=null-co,size=512,"
                              "node-name=a/b"]),
    "missing file": ("FOLDER/missing", ["--blockdev",
                     "driver=file,node-name=one,filename=FOLDER/missing"]),
    "folder": ("FOLDER", ["--blockdev",
               "driver=file,node-name=one,filename=FOLDER"]),
    "port above 65535": ("65536", ["--nbd-server",
                         "addr.type=inet,addr.host=127.0.0.1,"
                         "addr.port=65536"]),
    "port no number": ("nbdport", ["--nbd-server",
                       "addr.type=inet,addr.host=127.0.0.1,"
                       "addr.port=nbdport"]),
    "unknown address": ("carrier", ["--nbd-server", "addr.type=carrier"]),
    "duplicate export id": (
        "'e'", ["--blockdev", NULL, "--export", EXPORT + ",name=a",
                "--export", EXPORT + ",name=b"]),
    "duplicate export name": (
        "same", ["--blockdev", NULL, "--export", EXPORT + ",name=same",
                 "--export", "nbd,id=f,node-name=one,name=same"]),
    "unknown export type": ("smb", ["--blockdev", NULL, "--export",
                            "smb,id=e,node-name=one"]),
    "broken JSON": ("JSON", ["--blockdev", '{"driver": "file", ']),
    "unknown option": ("--no-such-option", ["--no-such-option"]),
    "missing argument": ("--blockdev", ["--blockdev"]),
}
# qemu-storage-daemon takes one listener only, and aborts on a negative size.
BEYOND_QEMU = {"port above 65535", "port no number", "unknown address",
               "negative size"}


def cases():
    for name in CASES:
        marks = [pytest.mark.beyond_qemu] if name in BEYOND_QEMU else []
        yield pytest.param(name, id=name.replace(" ", "-"), marks=marks)


@pytest.mark.parametrize("name", cases())
def test_refused(image, refuse, tmp_path, name):
    sock = tmp_path / "nbd.sock"
    path = str(image())
    culprit, *args = [word.replace("DISK", path).replace(
        "FOLDER", str(tmp_path)) for word in [CASES[name][0], *CASES[name][1]]]
    rest = [] if "--export" in args else ["--export", EXPORT]
    if "--blockdev" not in args:
        rest += ["--blockdev", NULL]
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={sock}",
                  *rest, *args)
    assert culprit in said
    assert len(said.strip().splitlines()) <= 2, said
    assert not harness.listens(harness.unix(sock))


def test_address_in_use(serve_tcp, image, refuse):
    port = harness.free_port()
    serve_tcp(image(), port)
    said = refuse("--nbd-server", "addr.type=inet,addr.host=127.0.0.1,"
                                  f"addr.port={port}", *SERVE_NULL)
    assert str(port) in said


def test_unreachable_socket_folder(refuse, tmp_path):
    path = tmp_path / "missing" / "nbd.sock"
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={path}",
                  *SERVE_NULL)
    assert str(path) in said


def test_long_socket_path(refuse, tmp_path):
    path = str(tmp_path / ("s" * 120))
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={path}",
                  *SERVE_NULL)
    assert "addr.path" in said and "107" in said
    assert os.listdir(tmp_path) == []
