"""Fixtures of the durability tests: a real daemon on storage that breaks.

Environment: as tests/conftest.py, and ASHLAR_SEED chooses other
random requests.  These tests need root, and take nothing else for granted:
what they need and do not find is a failure.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import random

import pytest

import harness
import storage
import wired as wired_disk

SEED = int(os.environ.get("ASHLAR_SEED", "1"))

# Every engine, through the page cache and around it.
WAYS = {
    "io_uring": ",aio=io_uring",
    "threads": ",aio=threads",
    "io_uring-direct": ",aio=io_uring,cache.direct=on",
    "threads-direct": ",aio=threads,cache.direct=on",
    "native-direct": ",aio=native,cache.direct=on",
}


def pytest_sessionstart():
    storage.enter_namespace()


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"seed: ASHLAR_SEED={SEED}")


@pytest.fixture
def rng(request):
    """Random numbers, others for each test, the same for each run."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def store(tmp_path):
    """Storage that is gone after the test, and after its daemons."""
    folder = tmp_path / "store"
    folder.mkdir()
    made = storage.Storage(str(folder))
    yield made
    made.close()


@pytest.fixture
def state_dir(tmp_path):
    """Where the daemons of a test keep what outlives them."""
    return tmp_path / "state"


@pytest.fixture
def serve(store, start, state_dir, tmp_path):
    """serve(path, options, ...): a daemon with export "disk" of a raw disk.

    options: more keys of the lowest node; device: a block device; export:
    more keys of the export; args: more arguments.  @store comes first so
    that it ends last.
    """
    del store
    n = 0

    def launch(path, options="", device=False, export="", args=(), **more):
        nonlocal n
        n += 1
        sock = tmp_path / f"s{n}"
        driver = "host_device" if device else "file"
        return start(
            "--blockdev", f"driver={driver},node-name=f,filename={path},"
                          f"discard=unmap{options}",
            "--blockdev", "driver=raw,node-name=disk,file=f,discard=unmap",
            *harness.offer("disk", "", True, export),
            "--nbd-server", f"addr.type=unix,addr.path={sock}",
            "--state-dir", state_dir, *args, listen=[harness.unix(sock)],
            **more)
    return launch


@pytest.fixture(scope="session")
def vault(tmp_path_factory):
    """A folder whose files can be copied at an instant."""
    folder = tmp_path_factory.mktemp("vault")
    made = storage.Storage(str(folder))
    memory = made.tmpfs("1g")
    yield made.filesystem_in(memory, "xfs", size=1 << 30)[2]
    made.close()


@pytest.fixture
def wired(store, vault):
    """wired(kind): a disk that serve() can serve, and copies of it.

    kind: of the file system that has the image, or "device".
    """
    def make(kind, **options):
        return wired_disk.Wired(store, vault, kind, **options)
    yield make
    for name in os.listdir(vault):
        os.unlink(os.path.join(vault, name))
