"""A start that can't work says what is wrong, and leaves nothing behind
(S45 to S47).

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import shutil
import subprocess

import pytest

import harness
import storage

MUTATIONS = 60
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def disk(tmp_path):
    return storage.make_sparse(tmp_path / "disk.img", storage.MIB)


@pytest.fixture
def args(disk, tmp_path):
    return ["--nbd-server", f"addr.type=unix,addr.path={tmp_path}/sock",
            *harness.graph(disk), *harness.offer("disk"),
            "--state-dir", str(tmp_path / "state")]


def fail(command):
    """Run what must end with status 1; what it said."""
    done = subprocess.run([str(c) for c in command], text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=harness.PATIENCE, errors="replace")
    harness.check_stderr(done.stderr)
    assert done.returncode == 1, (done.returncode, done.stderr)
    return done.stderr


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A folder that everybody can reach, and no path through a private one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = storage.Storage(str(folder))
    where = made.tmpfs("64m")
    os.chmod(where, 0o755)
    private = folder
    while private != private.parent:
        private.chmod(private.stat().st_mode | 0o111)
        private = private.parent
        if private.stat().st_mode & 0o001:
            break
    yield where
    made.close()


def test_permission_denied(elsewhere):
    """The file, the socket's folder, the pid file's, the state directory."""
    program = shutil.copy(harness.program()[0], elsewhere)
    disk = storage.make_sparse(os.path.join(elsewhere, "disk"), storage.MIB)
    os.chmod(disk, 0o600)
    mine = os.path.join(elsewhere, "mine")
    yours = os.path.join(elsewhere, "yours")
    os.mkdir(mine, 0o700)
    os.mkdir(yours, 0o700)
    os.chown(yours, 65534, 65534)
    state = ["--state-dir", os.path.join(yours, "state")]
    node = "driver=null-co,node-name=disk,size=1M"
    end = [*harness.offer("disk"), *state]

    def listen(folder):
        return ["--nbd-server",
                f"addr.type=unix,addr.path={os.path.join(folder, 's')}"]

    said = fail([*NOBODY, program, *listen(yours),
                 *harness.graph(disk), *end])
    assert disk in said and "Permission denied" in said
    said = fail([*NOBODY, program, *listen(mine), "--blockdev", node, *end])
    assert mine in said and "Permission denied" in said
    pid_file = os.path.join(mine, "pid")
    said = fail([*NOBODY, program, *listen(yours), "--blockdev", node, *end,
                 "--pid-file", pid_file])
    assert pid_file in said and "Permission denied" in said
    said = fail([*NOBODY, program, *listen(yours), "--blockdev", node,
                 *harness.offer("disk"), "--state-dir",
                 os.path.join(mine, "state")])
    assert mine in said and "Permission denied" in said
    assert os.listdir(mine) == []
    assert os.listdir(yours) == ["state"]


@pytest.mark.parametrize("what", ["state-dir", "pid-file", "socket"])
def test_read_only_mount(what, args, store, tmp_path, refuse):
    where = store.tmpfs("1m")
    storage.run("mount", "-o", "remount,ro", where)
    path = os.path.join(where, "x")
    more = {"state-dir": ["--state-dir", path],
            "pid-file": ["--pid-file", path],
            "socket": ["--nbd-server", "id=other,addr.type=unix,"
                                       f"addr.path={path}"]}[what]
    if what == "state-dir":
        args = args[:-2]
    said = refuse(*args, *more)
    assert path in said and "Read-only file system" in said
    assert not (tmp_path / "sock").exists()


def test_state_dir_is_a_file(args, tmp_path, refuse):
    path = tmp_path / "state"
    path.touch()
    said = refuse(*args)
    assert str(path) in said and "Not a directory" in said


def test_full_folder_of_the_pid_file(args, store, refuse, tmp_path):
    where = store.tmpfs("64k")
    store.fill(where)
    path = os.path.join(where, "pid")
    said = refuse(*args, "--pid-file", path)
    assert path in said and "No space left" in said
    assert os.listdir(where) == ["filler"]
    assert not (tmp_path / "sock").exists()


def damage(words, rng):
    """One of @words cut off, doubled, replaced by bytes, or worse."""
    i = rng.randrange(len(words))
    word = words[i]
    at = rng.randrange(len(word) + 1)
    # No byte that leads to another folder.
    byte = bytes([rng.choice([b for b in range(1, 256) if b not in b"./"])])
    words[i] = rng.choice([
        word[:at], word[:at] + word[at + 1:],
        word[:at] + byte + word[at + 1:], word + b"," + word,
        word + b",addr.port=1e999", word + b",size=16E",
        b"\xef\xbb\xbf" + word, word + b"\r\n", word * 200,
        b'{"a":' * 2000, b""])


def test_damaged_command_lines(disk, tmp_path, rng, count):
    """An error, or a daemon that serves and ends; never anything else."""
    pid_file = tmp_path / "pid"
    for _ in range(MUTATIONS):
        words = [os.fsencode(w) for w in [
            "--nbd-server", "addr.type=unix,addr.path=sock",
            *harness.graph(disk.name), *harness.offer("disk"),
            "--state-dir", "state"]]
        damage(words, rng)
        process = subprocess.Popen(
            [*harness.program(), *words, "--pid-file", pid_file],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, cwd=tmp_path, errors="replace")
        harness.wait_until(lambda: process.poll() is not None or
                           pid_file.exists(), f"{words} to start or to end")
        process.terminate()
        said = process.communicate(timeout=harness.PATIENCE)[1]
        harness.check_stderr(said)
        assert process.returncode in (0, 1, 2), (words, process.returncode)
        assert said.strip() or process.returncode == 0, words
        assert len(said) < 65536
        assert not pid_file.exists() and not (tmp_path / "sock").exists()
        count("damaged command lines")
        count("damaged command lines refused", process.returncode != 0)
