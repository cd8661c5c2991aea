from __future__ import annotations

from typing import Any

import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import filters

ROW: dict[str, Any] = {
    "name": "web-1",
    "status": "Running",
    "ephemeral": False,
    "stateful": True,
    "size": 1024,
    "location": "h1",
    "config": {"limits.memory": "2GiB", "user.note": "a b", "image.os": "busybox"},
    "devices": {"root": {"pool": "default"}},
    "profiles": ["default"],
    "description": "",
}


@pytest.mark.parametrize(
    "text",
    [
        "name eq web-1",
        "name eq WEB-1",
        "name eq web-.*",
        "name eq ^web",
        "name eq 1$",
        "name ne web",
        "not name eq web",
        "ephemeral eq false",
        "ephemeral eq False",
        "stateful eq TRUE",
        "size eq 1024",
        "size ne 1",
        "config.limits.memory eq 2GiB",
        "config.user.note eq 'a b'",
        'config.user.note eq "a b"',
        "devices.root.pool eq default",
        "name eq x or status eq running",
        "name eq web-1 and location eq h1",
        "name EQ web-1 AND NOT status Eq stopped",
        "name eq x and location eq h1 or status eq running",  # left to right: (no and yes) or yes
        "description eq ''",
        "name eq web-[",  # no regular expression: taken as it is
        "no.such.field ne x",
        "profiles ne default",  # a list equals no text
    ],
)
def test_matches(text: str) -> None:
    matches = filters.parse(text)
    assert matches is not None
    row = {**ROW, "name": "web-["} if "[" in text else ROW
    assert matches(row)


@pytest.mark.parametrize(
    "text",
    [
        "name eq web",
        "name eq eb-1",
        "not name eq web-1",
        "ephemeral eq true",
        "size eq 102",
        "size eq .*",
        "no.such.field eq x",
        "config.limits eq 2GiB",
        "status eq running and name eq x",
        "name eq web-1 or status eq x and location eq h2",  # (yes or no) and no
        "name.more eq x",
    ],
)
def test_matches_not(text: str) -> None:
    matches = filters.parse(text)
    assert matches is not None
    assert not matches(ROW)


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_empty(text: str) -> None:
    assert filters.parse(text) is None


@pytest.mark.parametrize(
    "text",
    ["name", "name eq", "name is x", "name eq x and", "name eq x or", "name eq x name eq y", "not", "not name eq", "'"],
)
def test_wrong(text: str) -> None:
    with pytest.raises(ActionError, match="Invalid filter") as error:
        filters.parse(text)
    assert error.value.code == 400
