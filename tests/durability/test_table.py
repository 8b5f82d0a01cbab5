"""The table in README.md names tests that exist, and all that are here.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import re

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
ROW = re.compile(r"^\| ([CS]\d+): [^|]+ \| ([^|]+) \|$", re.M)
NAME = re.compile(r"`([\w./-]+?)(?:::(\w+))?`")
PROMISES = {"C1", "C2", "C3", "C4", "C6", "C7", "C8", "C12", "C14", "C15",
            "C16", "C17"}
STARTS = {"S45", "S46", "S47"}


def rows():
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as f:
        found = ROW.findall(f.read())
    assert len({key for key, _ in found}) == len(found)
    return {key: NAME.findall(tests) for key, tests in found}


def where(path):
    return os.path.join(harness.PROJECT if "/" in path else HERE, path)


def functions(path):
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^def (test_\w+)\(", f.read(), re.M))


def test_each_row_has_tests_that_exist(count):
    for key, tests in rows().items():
        assert tests, key
        for path, function in tests:
            assert os.path.isfile(where(path)), (key, path)
            if function:
                assert function in functions(where(path)), (key, function)
        count("promises and faults of the table")


def test_each_promise_has_a_row():
    missing = (PROMISES | STARTS) - set(rows())
    assert not missing


def test_each_test_has_a_row():
    named = {(path, function) for tests in rows().values()
             for path, function in tests}
    for path in sorted(os.listdir(HERE)):
        if path.startswith("test_") and path != "test_table.py":
            for function in functions(where(path)):
                assert (path, function) in named
