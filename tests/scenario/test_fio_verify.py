"""fio reads back what it has written, by checksum, with requests in flight.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

COMMON = ["--name=job", "--ioengine=nbd", "--verify_fatal=1", "--randseed=7"]


@pytest.fixture
def fio(run, tmp_path):
    def call(uri, *options):
        out = tmp_path / "fio.out"
        run("fio", *COMMON, f"--uri={uri}", f"--output={out}", *options)
        assert "err= 0" in out.read_text()
    return call


@pytest.mark.parametrize("bs", ["512", "4k", "64k", "1m", "4k-128k"])
def test_verify(serve, image, fio, bs):
    option = "bsrange" if "-" in bs else "bs"
    size = "1m" if bs == "512" else "16m"
    fio(serve(image(size=16 << 20)).uri, "--rw=randrw", f"--{option}={bs}",
        "--iodepth=32", f"--size={size}", "--verify=crc32c", "--do_verify=1")


def test_two_jobs(serve, image, fio):
    fio(serve(image(size=32 << 20)).uri, "--rw=randwrite", "--bs=16k",
        "--iodepth=16", "--size=8m", "--numjobs=2", "--offset_increment=16m",
        "--verify=md5")


def test_flushes_and_trims(serve, image, fio):
    uri = serve(image(size=16 << 20)).uri
    fio(uri, "--rw=randwrite", "--bs=4k", "--iodepth=16", "--size=4m",
        "--fsync=8", "--verify=crc32c")
    fio(uri, "--rw=randtrimwrite", "--bs=64k", "--iodepth=8", "--size=16m")
