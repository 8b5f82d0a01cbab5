"""A guest of QEMU has an export as its disk, with a file system and discards.

SPDX-License-Identifier: BSD-3-Clause
"""


def test_file_system_on_virtio_disk(boot, serve, image, run):
    path = image(size=96 << 20)
    daemon = serve(path)
    guest = boot("filesystem", "/dev/vda", qemu_options=(
        "-drive", "if=none,id=disk,driver=raw,discard=unmap,"
        f"file.driver=nbd,file.path={daemon.sock},file.discard=unmap",
        "-device", "virtio-blk-pci,drive=disk"))
    guest.finish()
    assert guest.io_errors() == 0
    daemon.stop()
    run("fsck.ext4", "-f", "-n", path)
