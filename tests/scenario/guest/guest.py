"""One QEMU guest without acceleration that runs a task on a disk.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import re
import shutil
import subprocess

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
# From the start of QEMU to the end of the task; it takes about 6 s.
BOOT_PATIENCE = 80


class Guest:
    """Boots at once; what it says goes to the file @log.  @settings are those
    that the file init names."""

    def __init__(self, log, task, disk, *, qemu_options=(), **settings):
        assert shutil.which("qemu-system-x86_64"), (
            "qemu-system-x86_64 is not installed: see tests/packages.txt")
        boot = os.path.join(harness.BUILD, "guest")
        subprocess.run([os.path.join(HERE, "make-guest"), boot], check=True,
                       timeout=300)
        settings |= {"task": task, "disk": disk}
        line = ["console=ttyS0", "quiet", "panic=-1"]
        line += [f"ashlar.{key}={value}" for key, value in settings.items()]
        self.log = log
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
             "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
             "-display", "none", "-no-reboot", "-serial", f"file:{log}",
             "-nic", "user,model=virtio-net-pci",
             "-kernel", os.path.join(boot, "vmlinuz"),
             "-initrd", os.path.join(boot, "initramfs"),
             "-append", " ".join(line),
             *qemu_options], stdin=subprocess.DEVNULL)

    def said(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for(self, text):
        """Return when the guest has said @text; it must not end before."""
        def seen():
            if f"GUEST {text}" in self.said():
                return True
            assert self.process.poll() is None, self.said()
            return False
        harness.wait_until(seen, f"guest to say {text!r}", BOOT_PATIENCE)

    def finish(self):
        """Wait for the end of the task, which must be a success."""
        self.process.wait(BOOT_PATIENCE)
        result = re.search(r"^GUEST result (\d+)", self.said(), re.MULTILINE)
        assert result and result.group(1) == "0", self.said()

    def io_errors(self):
        """How many I/O errors the guest's kernel has logged."""
        return int(re.search(r"^GUEST kernel I/O errors (\d+)", self.said(),
                             re.MULTILINE).group(1))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
