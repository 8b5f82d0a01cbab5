"""nbdkit's nbd plugin passes an export on, plain and below its filters.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

from harness import pattern

SIZE = 8 << 20
DATA = {1 << 20: pattern(1 << 20)}


@pytest.mark.parametrize("filters", [
    [], ["cache"], ["readahead", "cache"], ["cow"], ["retry"],
    ["checkwrite"],
], ids=lambda filters: "-".join(filters) or "plain")
def test_pass_on(serve, image, run, filters):
    path = image(size=SIZE, data=DATA)
    daemon = serve(path)
    run("nbdkit", "-U", "-", *[f"--filter={f}" for f in filters], "nbd",
        f"uri={daemon.uri}", "--run", f"nbdcopy '{path}' \"$uri\" && "
        "nbdcopy \"$uri\" - | cmp - '" + str(path) + "'")


def test_shared_connection(serve, image, run):
    daemon = serve(image(size=SIZE, data=DATA))
    run("nbdkit", "-U", "-", "nbd", f"uri={daemon.uri}", "shared=true",
        "--run", 'nbdcopy --connections=4 "$uri" null:')


def test_list_through(serve, image, run):
    daemon = serve(image(size=SIZE), name="vol")
    uri = daemon.uri.replace("/vol", "/")
    out = run("nbdkit", "-U", "-", "nbd", f"uri={uri}", "dynamic-export=true",
              "--run", 'nbdinfo --list "$uri"').stdout
    assert 'export="vol"' in out
