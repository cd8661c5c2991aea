"""Plans from the command line, on real daemons: shown, saved, run, and what failed run again."""

from __future__ import annotations

import json
from pathlib import Path

from lxdpm_tui.actions.plan import State, read
from tests.cli.cli import Cli
from tests.cli.test_actions import GONE, names
from tests.lab.lab import Lab


def empty(lab: Lab, host: str, *given: str) -> None:
    for name in given:
        lab.hosts[host].api("POST", "/1.0/instances", {"name": name, "source": {"type": "none"}})


def test_a_plan_is_shown_saved_run_and_its_rest_run_again(cli: Cli, clean_lab: Lab, tmp_path: Path) -> None:
    cli.on(clean_lab, "h1", "i1")
    empty(clean_lab, "h1", "a", "b")
    empty(clean_lab, "i1", "c")
    done = cli.ok("delete", "a", "b", "i1:c", "--plan")
    assert done.out.splitlines() == [
        "1       h1  DELETE /1.0/instances/a",
        "1       h1  DELETE /1.0/instances/b",
        "1       i1  DELETE /1.0/instances/c",
    ]
    assert "Deleting instances: 3 on 2 hosts in 1 waves; 4 at once on a host" in done.err

    file, ended = tmp_path / "plan.json", tmp_path / "ended.json"
    done = cli.ok("bulk", "delete", "a", "b", "c", "--canary", "1", "--wave", "1", "--save", str(file), "--json")
    assert [item.get("wave", 0) for item in done.json["items"]] == [0, 1, 1]
    assert read(file.read_text()) == read(done.json)
    assert names(clean_lab, "h1") == {"a": "Stopped", "b": "Stopped"}, "nothing was done yet"

    assert cli.ok("run", str(file), "--dry-run").out.startswith("canary  h1  DELETE /1.0/instances/a\n")
    clean_lab.hosts["h1"].api("DELETE", "/1.0/instances/b")
    done = cli("run", str(file), "--save", str(ended))
    assert done.code == 1
    assert "h1: " in done.err
    assert "not found" in done.err.lower()
    counts = read(ended.read_text()).counts()
    assert (counts[State.DONE] + counts[State.WAITING], counts[State.FAILED]) == (2, 1)

    empty(clean_lab, "h1", "b")
    done = cli.process("run", str(ended), "--json")
    assert done.code == 0
    assert read(done.json["metadata"]["plan"]).counts() == {State.DONE: 3}
    assert names(clean_lab, "h1") == names(clean_lab, "i1") == {}
    assert cli("run", str(ended), "--on-error", "continue", "--again").code == 1


def test_what_is_no_plan(cli: Cli, tmp_path: Path) -> None:
    cli.hosts.write_text(GONE)
    file = tmp_path / "plan.json"
    assert "No such file" in cli("run", str(file)).err
    file.write_text(json.dumps({"act": "stop"}))
    done = cli("run", str(file), "--dry-run")
    assert (done.code, done.out) == (1, "")
    assert "this is no plan: Object missing required field `about`" in done.err
    done = cli("start", "web", "--plan")
    assert (done.code, "'web'" in done.err) == (1, True)
