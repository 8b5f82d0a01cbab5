"""The tables of README.md and the tests say the same.

SPDX-License-Identifier: BSD-3-Clause
"""
import ast
import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
ROW = re.compile(r"^\| (S?\d+) \| [^|]+ \| (.+) \|$", re.M)
CITED = re.compile(r"(?:bug-classes|faults) (S?\d+(?:, S?\d+)*)")
# What the tables promise to have.
WANTED = {*map(str, range(1, 47)), *(f"S{n}" for n in range(64, 77)), "S78",
          "S80"}


def rows_of_readme():
    """{row: set of tests}; a row without says "none: " and why."""
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as f:
        found = ROW.findall(f.read())
    assert len({row for row, _ in found}) == len(found), "a row twice"
    for row, text in found:
        assert "`test_" in text or re.match(r"none: \w", text), row
    return {row: set(re.findall(r"`(test_\w+::test_\w+)`", text))
            for row, text in found}


def rows_of_tests():
    """{test: set of the rows its first sentence cites}."""
    tests = {}
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        module = os.path.basename(path)[:-3]
        if module == "test_table":
            continue
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for node in tree.body:
            if (isinstance(node, ast.FunctionDef) and
                    node.name.startswith("test_")):
                text = ast.get_docstring(node) or ""
                cited = CITED.findall(text)
                tests[f"{module}::{node.name}"] = {
                    row for rows in cited for row in rows.split(", ")}
    return tests


def test_every_row_has_a_place():
    assert WANTED <= set(rows_of_readme())


def test_every_listed_test_exists_and_cites_its_row():
    tests = rows_of_tests()
    for row, names in rows_of_readme().items():
        for name in names:
            assert name in tests, f"row {row}: no test {name}"
            assert row in tests[name], f"{name} does not cite row {row}"


def test_every_test_is_listed():
    listed = rows_of_readme()
    for name, rows in rows_of_tests().items():
        assert rows, f"{name} cites no row"
        for row in rows:
            assert name in listed.get(row, ()), f"row {row}: {name} is missing"
