"""Stock `lxc` and `incus` over HTTPS: what works on one plain daemon works on the fleet.

Every case runs on a plain daemon of the client's own kind first and then, word for word, on the gateway; those that
are about one instance on an LXD host and on the Incus host at the same time. The LXD host changes from case to case:
one is reached by its unix socket, one by HTTPS, one by SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients import cases_between, cases_images, cases_instances, cases_shared, tally
from tests.clients.commands import Commands, Server
from tests.clients.conftest import plain
from tests.lab.lab import Lab

Case = Callable[[Commands], None]
LXD_HOSTS = ("h1", "h2", "h3")
OWN = {"lxc": ("h1", "h2"), "incus": ("i1", "h2")}


def named(cases: Sequence[Case]) -> list[object]:
    return [pytest.param(case, id=case.__name__) for case in cases]


@pytest.fixture(autouse=True)
def cleaned(lab: Lab, fleet: Server) -> Iterator[None]:
    """A case that failed leaves things behind."""
    yield
    lab.clean()


def failures(case: Case, runs: list[Commands]) -> list[str]:
    """Run the case with each at the same time; what went wrong where."""

    def attempt(c: Commands) -> str:
        try:
            case(c)
        except Exception as error:  # also of a check that expected another answer
            if c.passed:
                c.passed[-1] = False
            place = c.place or ("the fleet" if c.fleet else "the plain daemon")
            return f"{place}: after {c.said[-1:]}: {type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(len(runs)) as pool:
        return [text for text in pool.map(attempt, runs) if text]


def compare(program: str, case: Case, lab: Lab, fleet: Server, folder: Path, places: Sequence[str]) -> None:
    baseline = Commands(program, plain(lab, *OWN[program]), folder / "plain")
    bad = failures(case, [baseline])
    if bad:
        lab.clean()
    runs = [Commands(program, fleet, folder / f"fleet-{place}", place) for place in places]
    bad += failures(case, runs)
    count = tally.count(program)
    count.commands += len(baseline.passed)
    count.plain += sum(baseline.passed)
    count.fleet += sum(map(all, zip(*(run.passed for run in runs), strict=False)))
    count.runs += sum(len(run.passed) for run in runs)
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("case", named(cases_instances.CASES))
@pytest.mark.parametrize("program", ["lxc", "incus"])
def test_of_one_instance(program: str, case: Case, lab: Lab, fleet: Server, tmp_path: Path) -> None:
    compare(program, case, lab, fleet, tmp_path, [LXD_HOSTS[cases_instances.CASES.index(case) % 3], "i1"])


@pytest.mark.parametrize("case", named((*cases_shared.CASES, *cases_images.CASES)))
@pytest.mark.parametrize("program", ["lxc", "incus"])
def test_of_the_whole(program: str, case: Case, lab: Lab, fleet: Server, tmp_path: Path) -> None:
    compare(program, case, lab, fleet, tmp_path, [""])


@pytest.mark.parametrize("case", named((*cases_shared.ONLY_LXC, *cases_between.ONLY_LXC)))
def test_of_lxc_alone(case: Case, lab: Lab, fleet: Server, tmp_path: Path) -> None:
    compare("lxc", case, lab, fleet, tmp_path, [""])


@pytest.mark.parametrize("case", named(cases_shared.ONLY_FLEET))
@pytest.mark.parametrize("program", ["lxc", "incus"])
def test_of_the_fleet_alone(program: str, case: Case, fleet: Server, tmp_path: Path) -> None:
    run = Commands(program, fleet, tmp_path / "fleet")
    bad = failures(case, [run])
    tally.count(program).fleet_only += sum(run.passed)
    assert not bad, "\n".join(bad)
