"""qemu:allocation-depth tells which layer holds data; only when offered.

SPDX-License-Identifier: BSD-3-Clause
"""
import nbd
import pytest

import wire
from harness import pattern

CONTEXT = "qemu:allocation-depth"


def test_depth_of_a_raw_file(serve, image, dial):
    daemon = serve(image(size=1 << 20, data={0: pattern(65536)}),
                   export=",allocation-depth=on")
    conn = dial(daemon, contexts=["base:allocation", CONTEXT])
    extents = conn.call(wire.STATUS, 0, 1 << 20).extents(
        conn.contexts[CONTEXT])
    assert sum(n for n, _ in extents) == 1 << 20
    assert {depth for _, depth in extents} <= {0, 1}
    assert extents[0][1] == 1


def test_not_offered_by_default(serve, image, dial):
    conn = dial(serve(image()), contexts=["base:allocation", CONTEXT])
    assert set(conn.contexts) == {"base:allocation"}


def test_nbdinfo_map(serve, image, run):
    daemon = serve(image(), export=",allocation-depth=on")
    run("nbdinfo", f"--map={CONTEXT}", daemon.uri)
    run("qemu-img", "map", "--image-opts", "driver=nbd,server.type=unix,"
        f"server.path={daemon.sock},x-dirty-bitmap={CONTEXT}")


@pytest.mark.parametrize("query", ["qemu:", "base:", "qemu:allocation-depth",
                                   "base:allocation"])
def test_list_by_namespace(serve, image, query):
    daemon = serve(image(), export=",allocation-depth=on")
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_unix(str(daemon.sock))
    h.add_meta_context(query)
    seen = []
    h.opt_list_meta_context(lambda name: seen.append(name) and 0)
    h.opt_abort()
    assert seen == ["base:allocation" if "base" in query else CONTEXT]
