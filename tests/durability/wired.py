"""A raw disk on storage whose power can be cut.

The disk is a file, the loop device on it is the wire to the disk, and what
the kernel holds above is the memory that a power cut takes.  A cut is a copy
of the file at one instant, with requests in flight; nothing is synced for it.
The copy is mounted, which replays its journal, and read.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import oracle
import storage

# No multiple of a page: direct I/O has an odd end.
FILE_BYTES = (4 << 20) + 3 * oracle.SECTOR
DEVICE_BYTES = 4 << 20


class Wired:
    """A raw disk on storage of which copies can be taken."""

    def __init__(self, store, vault, kind, loop=()):
        self.store = store
        self.vault = vault
        self.kind = kind
        self.n_cuts = 0
        if kind == "device":
            self.file = os.path.join(vault, "disk")
            storage.make_sparse(self.file, DEVICE_BYTES)
            self.disk = store.loop(self.file, *loop)
            self.sectors = DEVICE_BYTES // oracle.SECTOR
        else:
            self.file, _, where = store.filesystem_in(vault, kind, loop=loop)
            self.disk = storage.make_sparse(os.path.join(where, "image"),
                                            FILE_BYTES)
            self.sectors = FILE_BYTES // oracle.SECTOR
            # That the file is there is not what is tested.
            storage.run("sync", "-f", self.disk)

    def cut(self):
        """What is left of the disk if the power fails now."""
        self.n_cuts += 1
        return storage.clone(self.file, os.path.join(
            self.vault, f"cut{self.n_cuts}"))

    def read_cut(self, copy):
        """The bytes of the raw disk in a copy; the copy is used up."""
        try:
            if self.kind == "device":
                with open(copy, "rb") as f:
                    return f.read()
            return self.read_mounted(copy)
        finally:
            os.unlink(copy)

    def read_mounted(self, copy):
        made = storage.Storage(self.store.folder)
        made.n = self.store.n = self.store.n + 10
        try:
            where = made.mount(
                "-t", self.kind, *storage.MOUNT_COPY.get(self.kind, []),
                made.loop(copy))
            with open(os.path.join(where, "image"), "rb") as f:
                return f.read()
        finally:
            made.close()
