"""nbdsh writes, reads back, zeroes and disconnects.

SPDX-License-Identifier: BSD-3-Clause
"""

SCRIPT = """
assert h.get_size() == 1048576
h.pwrite(b"q" * 513, 7)
assert h.pread(513, 7) == b"q" * 513
h.zero(512, 7)
assert h.pread(513, 7) == bytes(512) + b"q"
h.flush()
h.shutdown()
"""


def test_nbdsh(serve, image, run):
    run("nbdsh", "-u", serve(image()).uri, "-c", SCRIPT)
