"""Fixtures that only the scenario tests need.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

from guest.guest import Guest


@pytest.fixture
def boot(tmp_path, count):
    """boot(task, disk, ...): a guest, gone at the end of the test."""
    guests = []

    def launch(*args, **options):
        log = tmp_path / f"console-{len(guests)}"
        guests.append(Guest(log, *args, **options))
        count("guests booted")
        return guests[-1]

    yield launch
    for guest in guests:
        guest.close()
