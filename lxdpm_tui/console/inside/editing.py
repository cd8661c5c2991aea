"""Properties as YAML in the person's editor: help on top, the line of a mistake, and what to do about a conflict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from lxdpm_tui.actions import edit as editing
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console.inside.editor import edit_text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.session import REFUSALS
from lxdpm_tui.tasks.task import Status

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts

HELP = {
    "instance": "What its profiles give is not here. Leave it as it is, or empty, to change nothing.",
    "profile": "The change is made to the copies on: {hosts}. What they have of their own stays.",
    "image": "The change is made on every host that has the image.",
}


def dump(properties: Mapping[str, Any]) -> str:
    """As YAML: long texts in blocks, keys in LXD's order."""
    return yaml.safe_dump(dict(properties), sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)


def commented(words: Sequence[str]) -> str:
    return "".join(f"## {line}\n" for text in words for line in text.splitlines())


def bare(text: str) -> str:
    """Without the comments that are ours."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("##"))


async def edit_object(
    acts: Acts, kind: str, name: str, ref: str, host: str, project: str, hosts: Sequence[str] = ()
) -> None:
    """Let the person change an object until it is written, or nothing is to be changed.

    name: as the API of `host` knows it.  ref: as the action does (HOST:NAME).  hosts: of a profile, () for all.
    """
    session = acts.session
    if session.backend is None:
        return
    source = session.backend.fleet.hosts[host]

    async def now() -> dict[str, Any]:
        return editing.editable(kind, await source.get(editing.path_of(kind, name), project=project))

    what = f"{kind} {ref} (project {project})"
    first = [f"{what}, as on {host}", HELP[kind].format(hosts=", ".join(hosts) or "all hosts that have it"), ""]
    try:
        was = await now()
        text, notes = dump(was), list[str]()
        while True:
            given = bare(await edit_text(acts.screen.app, commented([*notes, *first]) + text, f"{kind}.yaml"))
            if (given.strip() == text.strip() and not notes) or not given.strip():
                session.say("info", f"{what}: nothing was changed")
                return
            text = given
            try:
                wanted = editing.read(kind, text)
            except ActionError as error:
                offset = len(commented(["x", *first]).splitlines())
                notes = [f"NOT TAKEN: {_moved(error.text, offset)}"]
                continue
            lines = editing.changes(was, wanted)
            if not lines:
                session.say("info", f"{what}: nothing was changed")
                return
            if await acts.ask(f"Change {what}?", [Line("", line) for line in lines], yes="Change") is None:
                session.say("info", f"{what}: nothing was changed")
                return
            arguments = {"kind": kind, "name": ref, "yaml": text, "was": dump(was), "hosts": list(hosts)}
            refusal = await _attempt(acts, {**arguments, "project": project})
            if not refusal:
                return
            code, words = refusal
            if code == editing.CONFLICT:
                fresh = await now()
                theirs = editing.changes(was, fresh)
                notes = ["NOT TAKEN: somebody changed it meanwhile:", *(f"  {line}" for line in theirs),
                         "Your text is below as you left it; saving it now puts your values over theirs."]  # fmt: skip
                was = fresh
            else:
                notes = [f"NOT TAKEN: {words}"]
    except REFUSALS as refused:
        session.say("bad", f"{what}: {refused}")


async def _attempt(acts: Acts, arguments: dict[str, Any]) -> tuple[int, str] | None:
    """Write it; None when it is written, else the HTTP code and words of the refusal."""
    try:
        task = await acts.session.run("edit", **arguments)
    except ActionError as error:
        return error.code, error.text
    if await task.wait(60) is Status.FAILURE:
        return task.error_code, task.error
    return None


def _moved(words: str, lines: int) -> str:
    """The line number of a mistake as the person sees it, with our comments above."""
    number, colon, rest = words.removeprefix("line ").partition(":")
    return f"line {int(number) + lines}:{rest}" if words.startswith("line ") and colon and number.isdigit() else words
