"""nbdinfo --can answers each question about a writable and a read-only disk.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

ALWAYS = ["connect", "read", "flush", "fua", "multi-conn", "cache", "df",
          "structured-reply"]
WRITABLE = ["write", "trim", "zero", "fast-zero"]
YES, NO = 0, 2


@pytest.mark.parametrize("question", ALWAYS + WRITABLE)
def test_can_when_writable(serve, image, run, question):
    run("nbdinfo", "--can", question, serve(image()).uri, status=YES)


@pytest.mark.parametrize("question", WRITABLE)
def test_cannot_when_read_only(serve, image, run, question):
    daemon = serve(image(), read_only=True)
    run("nbdinfo", "--can", question, daemon.uri, status=NO)


def test_other_facts(serve, image, run):
    daemon = serve(image(), read_only=True)
    run("nbdinfo", "--can", "connect", daemon.uri, status=YES)
    run("nbdinfo", "--can", "read", daemon.uri, status=YES)
    run("nbdinfo", "--is", "read-only", daemon.uri, status=YES)
    run("nbdinfo", "--is", "tls", daemon.uri, status=NO)
    run("nbdinfo", "--is", "rotational", daemon.uri, status=NO)
