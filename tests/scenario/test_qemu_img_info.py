"""qemu-img info tells the size and the format of an export.

SPDX-License-Identifier: BSD-3-Clause
"""
import json


def test_info(serve, image, run):
    daemon = serve(image(size=5 << 20), name="a b")
    uri = daemon.uri.replace("a b", "a%20b")
    told = json.loads(run("qemu-img", "info", "--output=json", uri).stdout)
    assert told["virtual-size"] == 5 << 20
    assert told["format"] == "raw"
