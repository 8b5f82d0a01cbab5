#!/usr/bin/python3
"""deny.py NAME=ERRNO... -- COMMAND...: run COMMAND where these system calls
fail.

With seccomp(2), as containers do it; x86-64 only.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import errno
import os
import struct
import sys

NUMBERS = {"clone": 56, "fallocate": 285, "eventfd2": 290,
           "epoll_create1": 291, "io_uring_setup": 425, "clone3": 435,
           "io_setup": 206}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7fff0000, 0x00050000


def program(rules):
    """The BPF program, as bytes."""
    out = struct.pack("=HBBI", LOAD_NUMBER, 0, 0, 0)
    for name, number in rules:
        out += struct.pack("=HBBI", JUMP_EQUAL, 0, 1, NUMBERS[name])
        out += struct.pack("=HBBI", RETURN, 0, 0, ERRNO | number)
    return out + struct.pack("=HBBI", RETURN, 0, 0, ALLOW)


def main():
    end = sys.argv.index("--")
    rules = [text.split("=") for text in sys.argv[1:end]]
    code = program([(name, getattr(errno, e)) for name, e in rules])
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                       ctypes.create_string_buffer(fprog), 0, 0)):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])


main()
