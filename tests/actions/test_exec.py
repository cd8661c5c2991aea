"""One command on many instances, on real daemons."""

from __future__ import annotations

from pathlib import Path

from lxdpm_tui.actions.exec import Tail
from lxdpm_tui.tasks.task import Status
from tests.console.inside.window import make
from tests.lab.lab import Lab
from tests.managing import done, managing, refused


def test_the_end_of_a_long_output_is_kept() -> None:
    tail = Tail(100)
    for number in range(1000):
        tail.add(b"%04d" % number)
    assert tail.text == "".join(f"{number:04d}" for number in range(975, 1000))
    assert tail.lost == 3900


async def test_on_all_hosts(clean_lab: Lab, tmp_path: Path) -> None:
    """What commands say is followed by a pause: LXD 5.0 may lose what is said right before the end."""
    for host in ("h1", "h2", "h3", "i1"):
        make(clean_lab, host, f"c-{host}")
    names = ["c-h1", "c-h2", "c-h3", "i1:c-i1"]
    async with managing(clean_lab, tmp_path) as manager:
        await refused(manager, "exec", 404, "not found", instances=["nothere"], run="true")
        says = "sh -c 'echo $HOSTNAME; hostname; echo bad >&2; pwd; sleep 0.5'"
        task = await done(manager, "exec", instances=names, run=says, cwd="/etc")
        found = task.metadata["exec"]
        assert {label: result["return"] for label, result in found.items()} == {
            "h1:c-h1": 0, "h2:c-h2": 0, "h3:c-h3": 0, "i1:c-i1": 0
        }  # fmt: skip
        assert found["h3:c-h3"]["stdout"].endswith("/etc\n")
        assert found["i1:c-i1"]["stderr"] == "bad\n"

        task = await done(
            manager,
            "exec",
            Status.FAILURE,
            instances=names,
            run="sh -c 'test $(hostname) != c-h2 || exit 9; seq 100000; sleep 0.5'",
        )
        assert task.error.startswith("1 of 4 failed: h2:c-h2: exit code 9"), task.error
        assert task.hosts["h2:c-h2"]["status"] == "failed"
        assert task.metadata["exec"]["h1:c-h1"]["stdout"].endswith("\n100000\n")
        assert task.metadata["exec"]["h1:c-h1"]["lost"] > 400_000

        task = await done(manager, "exec", Status.FAILURE, instances=names[:2], run="nothere")
        assert [r["return"] for r in task.metadata["exec"].values()] == [127, 127]

        task = await done(manager, "exec", Status.FAILURE, instances=["c-h1"], run="sleep 100", timeout=1)
        assert "within 1 s" in task.error

        with clean_lab.hosts["h3"].cut_off():
            task = await done(manager, "exec", Status.FAILURE, instances=["c-h1", "c-h3"], run="true")
            assert task.hosts["h1:c-h1"]["status"] == "done"
            assert "h3" in task.error

        task = await manager.run("exec", instances=names, run="sleep 100")
        task.cancel()
        assert await task.wait(60) is Status.CANCELLED
        await refused(manager, "exec", 400, "command", instances=names, run=" ")


async def test_it_stops_after_failures(clean_lab: Lab, tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(5)]
    for name in names:
        make(clean_lab, "h1", name)
    async with managing(clean_lab, tmp_path) as manager:
        task = await done(manager, "exec", Status.FAILURE, instances=names, run="false", per_host=1, stop_after=2)
        assert task.error.startswith("2 of 5 failed, 3 not begun")
        assert sorted(state["status"] for state in task.hosts.values()) == ["failed"] * 2 + ["not begun"] * 3
