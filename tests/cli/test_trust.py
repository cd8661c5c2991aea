"""`lxdpm-tui trust` beside a gateway that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.cli import Cli


@pytest.mark.parametrize("own", [False, True], ids=["its usual socket", "a socket of its own"])
def test_the_gateway_that_runs_is_told(cli: Cli, tmp_path: Path, own: bool) -> None:
    """Wherever it serves."""
    more = ("--socket", str(tmp_path / "elsewhere.socket")) if own else ()
    cli.hosts.write_text(f'[[hosts]]\nname = "h1"\naddress = "unix://{tmp_path}/nobody.socket"\n')
    with cli.serving("--listen", "127.0.0.1:0", *more, read=False):
        made = cli.process("trust", "add", "laptop")
        assert (made.code, made.err) == (0, "")
        assert len(made.out.strip()) > 40
        assert cli.process("trust", "list").code == 0
