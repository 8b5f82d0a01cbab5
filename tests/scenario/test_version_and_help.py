"""--version and --help answer on standard output with status 0.

SPDX-License-Identifier: BSD-3-Clause
"""
import re

import harness


def test_version(run):
    out = run(*harness.program(), "--version").stdout
    assert re.match(r"[\w-]+ (version )?\d+\.\d+", out), out


def test_help(run):
    out = run(*harness.program(), "--help").stdout
    for option in ("--blockdev", "--daemonize", "--export", "--help",
                   "--nbd-server", "--object", "--pidfile", "--version"):
        assert option in out, option
