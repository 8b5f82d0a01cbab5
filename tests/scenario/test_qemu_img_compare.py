"""qemu-img compare finds an export equal to its file, or says where not.

SPDX-License-Identifier: BSD-3-Clause
"""
from harness import pattern


def test_compare(serve, image, run):
    data = {65536: pattern(65536)}
    same = image("same.img", data=data)
    other = image("other.img", data=data | {700000: b"!"})
    uri = serve(image(data=data)).uri
    command = ["qemu-img", "compare", "-f", "raw", "-F", "raw", uri]
    assert "identical" in run(*command, same).stdout
    assert "offset 699904" in run(*command, other, status=1).stdout
