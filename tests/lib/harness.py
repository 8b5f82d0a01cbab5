"""One daemon under test: its addresses, start, end, and options.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("ASHLAR_BUILD",
                                       os.path.join(PROJECT, "build/dev")))
# How long a start or an end may take; sanitizers and busy machines are slow.
PATIENCE = float(os.environ.get("ASHLAR_PATIENCE", "20"))
POLL = 0.01

# What no daemon may ever say on its way.
BAD_STDERR = re.compile(
    r"(ERROR|WARNING|SUMMARY): \w*Sanitizer|\w+Sanitizer:DEADLYSIGNAL"
    r"|runtime error: |[Aa]ssertion.*failed|ash_assert|CRITICAL \*\*"
    r"|definitely lost: [1-9]|Invalid (read|write) of size")


def program():
    """The command that starts the server under test, as a list."""
    given = os.environ.get("ASHLARD")
    return shlex.split(given) if given else [os.path.join(BUILD,
                                                          "bin/ashlard")]


def unix(path):
    return ("unix", str(path))


def abstract(name):
    return ("unix", "\0" + name)


def tcp(port, host="127.0.0.1"):
    return ("tcp", (host, port))


def free_port(host="127.0.0.1"):
    """A TCP port that nobody listens on at the moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def dial(address):
    """A connected socket."""
    kind, where = address
    if kind == "tcp":
        return socket.create_connection(where, timeout=PATIENCE)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    try:
        s.connect(where)
    except OSError:
        s.close()
        raise
    return s


def listens(address):
    try:
        dial(address).close()
    except OSError:
        return False
    return True


def wait_until(condition, what, patience=PATIENCE):
    """Poll @condition; its first true value is the result."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience} s: {what}"
        time.sleep(POLL)


def check_stderr(text):
    """What a daemon has said shows no defect of it."""
    found = BAD_STDERR.search(text)
    assert not found, f"{found.group()}: {text}"


class Daemon:
    """One process of the server, with its standard error in a file."""

    def __init__(self, args, listen, log, pass_fds=(), prefix=()):
        self.args = [str(a) for a in [*prefix, *program(), *args]]
        self.listen = list(listen)
        self.log = log
        self.uri = None
        with open(log, "wb") as err:
            self.process = subprocess.Popen(
                self.args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=err, pass_fds=pass_fds)
        self.pid = self.process.pid

    def stderr(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_ready(self):
        """Return once every address takes connections."""
        def ready():
            status = self.process.poll()
            assert status is None, (f"{shlex.join(self.args)} ended with "
                                    f"{status}: {self.stderr()}")
            return all(listens(a) for a in self.listen)
        wait_until(ready, f"{self.listen} to listen: {self.stderr()}")
        return self

    def is_running(self):
        return self.process.poll() is None

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, patience=PATIENCE):
        """The exit status; a daemon that hangs is killed and is a failure."""
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"daemon did not end within {patience} s: {self.stderr()}")
        finally:
            self.process.stdout.close()
        check_stderr(self.stderr())
        return status

    def stop(self):
        """SIGTERM; the daemon ends with status 0 and nothing bad to say."""
        self.terminate()
        status = self.wait()
        assert status == 0, f"exit status {status}: {self.stderr()}"

    def kill(self):
        """The daemon is gone at once, as in a crash."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def graph(path, name="disk", read_only=False, discard="unmap", protocol=""):
    """--blockdev options for one raw file: nodes NAME-file and NAME."""
    mode = "on" if read_only else "off"
    common = f"read-only={mode},discard={discard}"
    return ["--blockdev", f"driver=file,node-name={name}-file,"
                          f"filename={path},{common}{protocol}",
            "--blockdev", f"driver=raw,node-name={name},file={name}-file,"
                          f"{common}"]


def offer(node, name="", writable=True, more=""):
    """The --export option for one node."""
    mode = "on" if writable else "off"
    return ["--export", f"type=nbd,id=export-{node},node-name={node},"
                        f"name={name},writable={mode}" + more]


def pattern(size, seed=1):
    """@size bytes that are the same for the same @seed, none of them zero."""
    table = bytes(max(b, 1) for b in range(256))
    return random.Random(seed).randbytes(size).translate(table)
