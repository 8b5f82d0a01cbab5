"""nbdinfo --size prints the size in bytes.

SPDX-License-Identifier: BSD-3-Clause
"""


def test_size(serve, image, run):
    daemon = serve(image(size=12345 << 9))
    assert run("nbdinfo", "--size", daemon.uri).stdout == f"{12345 << 9}\n"
