"""qemu-img map shows an export's data and holes.

SPDX-License-Identifier: BSD-3-Clause
"""
import json

from harness import pattern


def test_map(serve, image, run):
    daemon = serve(image(size=4 << 20, data={1 << 20: pattern(1 << 20)}))
    told = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw",
                          daemon.uri).stdout)
    assert [(e["start"], e["length"], e["data"], e["zero"]) for e in told] == [
        (0, 1 << 20, False, True), (1 << 20, 1 << 20, True, False),
        (2 << 20, 2 << 20, False, True)]
