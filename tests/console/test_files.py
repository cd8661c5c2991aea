"""The person's own files: what they may say, and every mistake with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lxdpm_tui.config.hosts_file import ConfigError
from lxdpm_tui.console.files import Files, Plugin, SavedView
from lxdpm_tui.console.files.guards import strictest
from lxdpm_tui.console.files.plugins import PluginInput, words_of
from lxdpm_tui.console.files.simple import key_name
from lxdpm_tui.console.files.views import PathColumn, read_views, save_view
from lxdpm_tui.fleet.inventory import Instance, Inventory
from tests.console.world import fill


def touch(path: Path, text: str, number: int) -> None:
    """Write a file so that its time is a new one."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (number, number))


def mistakes(files: Files) -> list[str]:
    return [str(problem).rpartition("/")[2] for problem in files.look()[1]]


def test_keys_aliases_views_plugins_and_themes(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('start = "F5"\nhelp = ["?", "ctrl-h"]\n')
    (tmp_path / "aliases.toml").write_text('web = ":instances web-*"\n')
    (tmp_path / "views.toml").write_text(
        '[busy]\nplace = "instances"\nfilter = "cpu>50"\nsort = "-cpu"\n'
        'columns = ["name", "config.user.owner", {title = "MAC", path = "state.mac", width = 17}]\n'
    )
    (tmp_path / "plugins.toml").write_text(
        '[ping]\ncommand = ["ping", "-c3", "$IP"]\nkey = "f6"\nplaces = ["instances"]\n'
        'inputs = ["how", {name = "why", help = "because", default = "x"}]\n'
    )
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "sea.toml").write_text('dark = false\nprimary = "#005577"\n')
    files = Files(tmp_path)
    news, problems = files.look()
    assert (news, problems) == ({"keys", "aliases", "views", "plugins", "themes"}, [])
    assert files.keys == {"start": "f5", "help": "question_mark,ctrl+h"}
    assert files.aliases == {"web": "instances web-*"}
    columns = ("name", PathColumn("config.user.owner", "OWNER"), PathColumn("state.mac", "MAC", 17))
    assert files.views == {"busy": SavedView("busy", "instances", "cpu>50", "cpu", True, columns)}
    inputs = (PluginInput("how"), PluginInput("why", "because", "x"))
    ping = Plugin("ping", ("ping", "-c3", "$IP"), "f6", ("instances",), "ping -c3 $IP", inputs)
    assert files.plugins == {"ping": ping}
    assert (files.themes["sea"].primary, files.themes["sea"].dark) == ("#005577", False)


def test_what_changed_is_read_again_and_only_that(tmp_path: Path) -> None:
    touch(tmp_path / "aliases.toml", 'a = "hosts"', 1)
    files = Files(tmp_path)
    assert files.look()[0] == {"aliases"}
    assert files.look()[0] == set()
    touch(tmp_path / "aliases.toml", 'a = "tasks"', 2)
    assert files.look()[0] == {"aliases"}
    assert files.aliases == {"a": "tasks"}
    touch(tmp_path / "aliases.toml", "a = ", 3)
    assert mistakes(files) == ["aliases.toml:1: not TOML: Invalid value"]
    assert files.aliases == {"a": "tasks"}  # what was before goes on
    (tmp_path / "aliases.toml").unlink()
    assert files.look()[0] == {"aliases"}
    assert files.aliases == {}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("keys.toml", 'help = "?"\nstrat = "x"\n', "keys.toml:2: strat: unknown; did you mean start?"),
        ("keys.toml", 'help = "?"\nstart = 3\n', 'keys.toml:2: start: expected a key, as "f5", or a list of keys'),
        ("keys.toml", 'start = "x"\n', "keys.toml:1: start: x is the key of stop already"),
        ("aliases.toml", '\na = "a b"\n', "aliases.toml:2: a: stands for itself"),
        ("aliases.toml", "a = 1\n", "aliases.toml:1: a: expected a command line in quotes"),
        ("views.toml", '[a]\nplace = "hots"\n', "views.toml:2: a.place: there is no table hots; there are "),
        ("views.toml", '[a]\nplaze = "hosts"\n', "views.toml:2: a.plaze: unknown; did you mean place?"),
        ("views.toml", "[a]\ncolumns = [3]\n", "views.toml:2: a.columns: expected ids of columns"),
        ("views.toml", "a = 1\n", "views.toml:1: a: expected a table: [a]"),
        ("plugins.toml", '[a]\nkey = "x"\n', "plugins.toml:1: a.command: is missing"),
        ("plugins.toml", '[a]\ncommand = "ls -l"\n', "plugins.toml:2: a.command: expected a list of texts"),
        ("plugins.toml", '[a]\ncommand = ["x"]\nwait = 1\n', "plugins.toml:3: a.wait: expected true or false"),
        ("plugins.toml", '[a]\ncommand = ["x"]\ninputs = ["$"]\n', "plugins.toml:3: a.inputs: expected a list of "),
        ("guards.toml", '[a]\nfilter = ""\nask = "nevr"\n', "guards.toml:3: a.ask: expected type or never"),
        ("guards.toml", '[a]\nacts = ["stop"]\n', "guards.toml:1: a.filter: is missing"),
        ("guards.toml", '[a]\nfilter = "mem>lots"\n', "guards.toml:2: a.filter: "),
        ("themes/x.toml", '\nprimary = "blueish"\n', "x.toml:2: primary: 'blueish' is no colour"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    touch(tmp_path / name, text, 1)
    found = mistakes(Files(tmp_path))
    assert found[0].startswith(told)


def test_the_strictest_guard_counts(tmp_path: Path) -> None:
    touch(
        tmp_path / "guards.toml",
        '[many]\nfilter = ""\nacts = ["delete"]\n'
        '[live]\nfilter = "name:=web-1"\nwhy = "people use them"\n'
        '[db]\nfilter = "name:=web-20"\nacts = ["stop", "start"]\nask = "never"\n',
        1,
    )
    files = Files(tmp_path)
    assert files.look() == ({"guards"}, [])
    inventory = Inventory()
    fill(inventory)
    db, web, *_ = (next(row for row in inventory.all_instances() if row.name == name) for name in ("web-20", "web-1"))

    def found(act: str, asks: bool, *rows: Instance) -> str:
        guard = strictest(files.guards.values(), act, asks, rows)
        return guard.name if guard is not None else ""

    assert [found("delete", True, db), found("stop", True, web), found("stop", True, db, web)] == ["many", "live", "db"]
    assert [found("start", False, web), found("start", False, db)] == ["", "db"]
    assert files.guards["live"].words() == "guard live: people use them"


def test_guards_with_mistakes_hold_back_everything(tmp_path: Path) -> None:
    """Else a slip of the pen would take the guard away without a word."""
    touch(tmp_path / "guards.toml", "[a]\nfilter = 3\n", 1)
    files = Files(tmp_path)
    assert mistakes(files) == ["guards.toml:2: a.filter: expected a text in quotes"]
    assert [(guard.ask, guard.acts) for guard in files.guards.values()] == [("never", ())]
    touch(tmp_path / "guards.toml", '[a]\nfilter = "x"\n', 2)
    assert mistakes(files) == []
    assert set(files.guards) == {"a"}
    touch(tmp_path / "guards.toml", "[a]\nfilter = 3\n", 3)
    assert len(mistakes(files)) == 1
    assert set(files.guards) == {"a"}


def test_a_key_may_be_exchanged_with_another(tmp_path: Path) -> None:
    touch(tmp_path / "keys.toml", 'start = "x"\nstop = "t"\n', 1)
    files = Files(tmp_path)
    assert files.look() == ({"keys"}, [])


def test_no_directory_no_files(tmp_path: Path) -> None:
    assert Files(None).look() == (set(), [])
    assert Files(tmp_path / "nowhere").look() == (set(), [])


@pytest.mark.parametrize(
    ("given", "name"),
    [("?", "question_mark"), ("Ctrl+R", "ctrl+r"), ("esc", "escape"), ("S", "S"), ("alt-/", "alt+slash"), ("f5", "f5")],
)
def test_keys_are_named_as_people_do(given: str, name: str) -> None:
    assert key_name(given) == name


def test_words_of_a_plugin_are_never_split_or_read_again() -> None:
    plugin = Plugin("x", ("run", "${NAME}:$IP", "$NOTHING", "$$HOST"))
    variables = {"NAME": "a b; rm -rf $IP", "IP": "10.0.0.1", "HOST": "h1"}
    assert words_of(plugin, variables) == ["run", "a b; rm -rf $IP:10.0.0.1", "", "$h1"]
    script = Plugin("x", ("/bin/sh", "-c", "echo $NAME $1", "x", "$NAME"))
    assert words_of(script, variables) == ["/bin/sh", "-c", "echo $NAME $1", "x", "a b; rm -rf $IP"]


def test_a_saved_view_reads_as_it_was_and_leaves_the_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "views.toml"
    path.write_text('# mine\n[first]\nplace = "hosts"  # all of them\n')
    columns = ("name", PathColumn("config.user.owner", "OWNER", 9))
    view = SavedView("busy", "instances", 'cpu>50 "a b"', "cpu", True, columns, "shop")
    save_view(path, view)
    save_view(path, view)
    assert read_views(path)["busy"] == view
    assert set(read_views(path)) == {"first", "busy"}
    assert path.read_text().startswith('# mine\n[first]\nplace = "hosts"  # all of them\n')
    path.write_text("[broken\n")
    with pytest.raises(ConfigError):
        save_view(path, view)
    assert path.read_text() == "[broken\n"


def test_guards_that_cannot_be_looked_at_are_not_gone(tmp_path: Path) -> None:
    path = tmp_path / "guards.toml"
    touch(path, '[a]\nfilter = "x"\n', 1)
    files = Files(tmp_path)
    assert mistakes(files) == []
    path.unlink()
    path.symlink_to(path)
    assert mistakes(files) == ["guards.toml: cannot be read: Too many levels of symbolic links"]
    assert mistakes(files) == []  # it was said
    assert set(files.guards) == {"a"}
    other = Files(tmp_path)
    assert len(mistakes(other)) == 1
    assert [(guard.ask, guard.acts) for guard in other.guards.values()] == [("never", ())]
    path.unlink()
    assert mistakes(files) == []
    assert files.guards == {}
