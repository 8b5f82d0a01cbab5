"""nbdinfo --map tells data from holes and covers each byte once.

SPDX-License-Identifier: BSD-3-Clause
"""
import json

from harness import pattern


def test_map(serve, image, run):
    size = 16 << 20
    daemon = serve(image(size=size, data={
        1 << 20: pattern(1 << 20), 5 << 20: pattern(65536),
        size - 4096: pattern(4096)}))
    out = run("nbdinfo", "--map", "--json", daemon.uri).stdout
    extents = [(e["offset"], e["length"], e["type"]) for e in json.loads(out)]
    assert extents == [
        (0, 1 << 20, 3), (1 << 20, 1 << 20, 0), (2 << 20, 3 << 20, 3),
        (5 << 20, 65536, 0), ((5 << 20) + 65536, (11 << 20) - 65536 - 4096, 3),
        (size - 4096, 4096, 0)]


def test_totals(serve, image, run):
    daemon = serve(image(size=8 << 20, data={0: pattern(2 << 20)}))
    out = run("nbdinfo", "--map", "--totals", "--json", daemon.uri).stdout
    totals = {e["type"]: e["size"] for e in json.loads(out)}
    assert totals == {0: 2 << 20, 3: 6 << 20}
