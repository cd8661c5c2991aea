"""Every action as a subcommand, and the arguments read back."""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.registry import Action, Danger, registry
from lxdpm_tui.cli import build_parser
from lxdpm_tui.cli.commands import arguments_of
from tests.cli.cli import Cli

load_all()
OTHERS = {"host", "trust", "planner", "plan", "shell", "console"}


def test_what_may_be_repeated_is_said_in_the_singular() -> None:
    repeated = {
        (param.name, option)
        for name, parser in subcommands().items()
        if name in registry.actions
        for param in registry.actions[name].params
        if not param.positional and (param.many or param.kind == "mapping")
        for each in parser._actions
        if each.dest == param.name
        for option in each.option_strings
    }
    assert repeated >= {
        ("profiles", "--profile"),
        ("aliases", "--alias"),
        ("hosts", "--host"),
        ("config", "--config"),
        ("devices", "--device"),
    }
    assert all(option in (f"--{name}", f"--{name[:-1]}", f"--{name[:-2]}") for name, option in repeated)


def subcommands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    [choices] = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(choices)


def test_every_action_is_a_subcommand_and_the_other_way_round() -> None:
    commands = subcommands()
    assert set(commands) == set(registry.actions) | OTHERS
    assert {"launch", "start", "stop", "delete", "image-import", "profile-create", "maintenance"} <= set(commands)


@pytest.mark.parametrize("name", sorted(registry.actions))
def test_every_argument_of_an_action_can_be_given(name: str) -> None:
    action, parser = registry.actions[name], subcommands()[name]
    places = {each.dest: each for each in parser._actions}
    for param in action.params:
        place = places[param.name]
        assert bool(place.option_strings) == (not param.positional), param.name
        assert place.help == param.help
        if param.choices:
            assert list(place.choices or ()) == [str(choice) for choice in param.choices]
    assert "json" in places
    assert ("yes" in places) == (action.danger is not Danger.NONE)
    taken = {
        "view",
        "view_filter",
        "view_project",
        "look_only",
        "hosts_file",
        "state_dir",
        "demo",
        "serve",
        "listen",
        "socket",
        "verbose",
        "command",
        "action",
    }
    assert not taken & {param.name for param in action.params}


@pytest.mark.parametrize("name", sorted(set(subcommands()) - {"host", "trust"}))
def test_every_subcommand_explains_itself(cli: Cli, name: str) -> None:
    done = cli(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: lxdpm-tui {name}")


def parsed(name: str, *words: str) -> dict[str, Any]:
    arguments = build_parser().parse_args([name, *words])
    action: Action = registry.actions[arguments.action]
    return registry.complete(action, arguments_of(action, arguments))


def test_words_become_arguments() -> None:
    given = parsed(
        "launch", "busybox", "web", "--profile", "default", "--profile", "web", "--config", "limits.memory=1GiB",
        "--config", "user.x=a=b", "--device", "data=type=disk,path=/data", "--count", "3", "--ephemeral", "--no-start",
    )  # fmt: skip
    assert (given["image"], given["name"], given["count"]) == ("busybox", "web", 3)
    assert given["profiles"] == ["default", "web"]
    assert given["config"] == {"limits.memory": "1GiB", "user.x": "a=b"}
    assert given["devices"] == {"data": "type=disk,path=/data"}
    assert (given["ephemeral"], given["no_start"], given["target"]) == (True, True, None)
    assert parsed("launch", "busybox")["name"] == ""
    assert parsed("image-import", "f", "--alias", "a", "--alias", "b/1")["aliases"] == ["a", "b/1"]
    assert parsed("stop", "a", "h1:b", "--force")["instances"] == ["a", "h1:b"]
    assert parsed("profile-edit", "web", "--description", "")["description"] == ""
    assert parsed("profile-edit", "web")["description"] is None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["launch"], "the following arguments are required: IMAGE"),
        (["launch", "x", "--config", "novalue"], "--config: expected KEY=VALUE, not 'novalue'"),
        (["launch", "x", "--config", "=x"], "--config: expected KEY=VALUE, not '=x'"),
        (["launch", "x", "--strategy", "best"], "invalid choice: 'best'"),
        (["launch", "x", "--count", "many"], "invalid int value: 'many'"),
        (["launch", "x", "--conf", "a=b"], "unrecognized arguments: --conf"),
        (["stop"], "the following arguments are required: INSTANCES"),
        (["maintenance", "h1", "maybe"], "invalid choice: 'maybe'"),
        (["explode"], "invalid choice: 'explode'"),
        (["host"], "the following arguments are required: VERB"),
        (["--demo", "0"], "expected a number of hosts from 1 to 1000, not '0'"),
        (["--listen", ":1", "planner"], "go with --serve"),
        (["--socket", "/x", "planner"], "go with --serve"),
        (["--serve", "planner"], "--serve takes no command"),
        ([], "the console needs a terminal"),
    ],
)
def test_a_wrong_command_line(cli: Cli, words: list[str], text: str) -> None:
    cli.hosts.write_text('[[hosts]]\nname = "gone"\naddress = "unix:///nowhere/unix.socket"\n')
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("other", ["stdin", "stdout", "stderr"])
def test_the_console_needs_all_of_a_terminal(cli: Cli, tmp_path: Path, other: str) -> None:
    """It reads keys from its input and draws on its errors."""
    cli.hosts.write_text('[[hosts]]\nname = "gone"\naddress = "unix:///nowhere/unix.socket"\n')
    ours, theirs = pty.openpty()
    told = tmp_path / "told"
    told.touch()
    command = [sys.executable, "-m", "lxdpm_tui", *cli.options]
    try:
        with told.open("r+b") as file:
            streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs) | {other: file.fileno()}
            assert subprocess.run(command, **streams, check=False, timeout=60).returncode == 2
        found = told.read_bytes() if other == "stderr" else os.read(ours, 1 << 16)
        assert b"the console needs a terminal" in found
    finally:
        os.close(ours)
        os.close(theirs)


def test_version(cli: Cli) -> None:
    from lxdpm_tui import __version__

    assert cli.ok("--version").out == f"lxdpm-tui {__version__}\n"
