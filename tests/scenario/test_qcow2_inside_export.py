"""A client keeps a qcow2 image in a raw export; it stays consistent.

SPDX-License-Identifier: BSD-3-Clause
"""


def test_qcow2_inside(serve, image, run):
    uri = serve(image(size=16 << 20)).uri
    run("qemu-img", "create", "-f", "qcow2", uri, "32M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 3M", "-c",
        "write -z 2M 512k", "-c", "read -P 9 1M 1M", "-c", "read -P 0 2M 512k",
        uri)
    run("qemu-img", "check", "-f", "qcow2", uri)
