"""Fixtures for tests on real daemons, and the rule that such tests never vanish in silence.

A test that uses `lab` or `clean_lab` is marked `lab`. Where no lab can be made those tests are deselected with a
notice that says why; with LXDPM_REQUIRE_LAB=1 (as in CI) that is an error instead.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from tests.lab import cluster
from tests.lab.lab import Lab
from tests.lab.layout import LabError
from tests.lab.packages import why_no_lab

_NOTICE = pytest.StashKey[str]()
_VERSIONS = pytest.StashKey[str]()
_on_lab: set[str] = set()  # ids of the tests on real daemons
_passed: set[str] = set()


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_lab = [
        item
        for item in items
        if {"lab", "cluster_lab"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("lab")
    ]
    for item in on_lab:
        item.add_marker("lab")
        _on_lab.add(item.nodeid)
    reason = why_no_lab() if on_lab else None
    if reason is None:
        return
    if os.environ.get("LXDPM_REQUIRE_LAB") == "1":
        raise pytest.UsageError(f"LXDPM_REQUIRE_LAB=1, but there can be no real daemons here: {reason}")
    config.stash[_NOTICE] = f"LEFT OUT: {len(on_lab)} tests on real LXD and Incus daemons, because {reason}"
    config.hook.pytest_deselected(items=on_lab)
    items[:] = [item for item in items if item not in on_lab]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed and report.nodeid in _on_lab:
        _passed.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if notice := config.stash.get(_NOTICE, ""):
        terminalreporter.write_line(notice, yellow=True)
    if versions := config.stash.get(_VERSIONS, ""):
        terminalreporter.write_line(f"real daemons: {versions} ({len(_passed)} tests on them passed)")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab of this run: h1, h2, h3 (LXD) and i1 (Incus), all answering.

    One that was up already is used, and stays up.
    """
    lab = Lab()
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0lxdpm-lab-{lab.layout.number}")  # a name without a file: it goes with us
        except OSError:
            number = lab.layout.number
            raise LabError(f"another test run uses lab {number}: set LXDPM_LAB to another number") from None
        was_up = lab.is_up
        try:
            lab.up(lxd=3, incus=1)
            lab.clean()
            request.config.stash[_VERSIONS] = lab.versions()
            yield lab
        finally:
            if not was_up:
                lab.down()


@pytest.fixture(scope="session")
def cluster_lab() -> Iterator[Lab]:
    """Two real clusters, h1 and h2 of LXD, i1 and i2 of Incus, in a lab of their own: the other lab's stay independent.

    One that was up already is used, and stays up.
    """
    lab = cluster.lab_of_cluster(Lab().layout.number)
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0lxdpm-lab-{lab.layout.number}")
        except OSError:
            raise LabError(f"another test run uses lab {lab.layout.number}: set LXDPM_LAB to another number") from None
        was_up = lab.is_up
        try:
            cluster.up(lab)
            cluster.clean(lab)
            yield lab
        finally:
            if not was_up:
                lab.down()


@pytest.fixture
def clean_cluster(cluster_lab: Lab) -> Iterator[Lab]:
    """The clusters, all members online; afterwards every fault is undone, and all that the test made is removed."""
    cluster.until_online(cluster_lab)
    try:
        yield cluster_lab
    finally:
        cluster_lab.undo_faults()
        cluster.clean(cluster_lab)


@pytest.fixture
def clean_lab(lab: Lab) -> Iterator[Lab]:
    """The lab; afterwards every fault is undone, and all that the test made or changed on the hosts is put back."""
    try:
        yield lab
    finally:
        lab.undo_faults()
        lab.clean()
