"""Several exports of one daemon are listed and hold their own data.

SPDX-License-Identifier: BSD-3-Clause
"""
from urllib.parse import quote

import nbd

import harness


def test_exports_are_apart(start, image, connect, tmp_path):
    sock = tmp_path / "nbd.sock"
    paths = {name: image(f"{n}.img", (n + 1) << 20)
             for n, name in enumerate(["", "one", "zwei ö", "a/b"])}
    args = []
    for n, (name, path) in enumerate(paths.items()):
        args += [*harness.graph(path, f"disk{n}")]
    args += ["--nbd-server", f"addr.type=unix,addr.path={sock}"]
    for n, name in enumerate(paths):
        args += harness.offer(f"disk{n}", name)
    daemon = start(*args, listen=[harness.unix(sock)])

    lister = nbd.NBD()
    lister.set_opt_mode(True)
    lister.connect_unix(str(sock))
    seen = []
    lister.opt_list(lambda name, description: seen.append(name) and 0)
    lister.opt_abort()
    assert set(seen) == set(paths)

    for n, (name, path) in enumerate(paths.items()):
        h = connect(f"nbd+unix:///{quote(name, safe='')}?socket={sock}")
        assert h.get_size() == (n + 1) << 20
        h.pwrite(harness.pattern(4096, n), 4096)
    for n, path in enumerate(paths.values()):
        assert path.read_bytes()[4096:8192] == harness.pattern(4096, n)
    assert daemon.is_running()


def test_unknown_export(start, image, connect, tmp_path):
    sock = tmp_path / "nbd.sock"
    start(*harness.graph(image()), "--nbd-server",
          f"addr.type=unix,addr.path={sock}", *harness.offer("disk", "there"),
          listen=[harness.unix(sock)])
    for name in ("", "There", "there/", "x" * 4096):
        try:
            connect(f"nbd+unix:///{quote(name, safe='')}?socket={sock}")
        except nbd.Error:
            continue
        raise AssertionError(f"export {name!r} was found")
    assert connect(f"nbd+unix:///there?socket={sock}").get_size() == 1 << 20
