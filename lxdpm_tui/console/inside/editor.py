"""The person's own editor on a file, with the terminal handed over."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console.inside.handover import hand_over


def editor() -> list[str]:
    """$VISUAL, else $EDITOR, else what is there. Raises ActionError when there is none."""
    for name in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(name, "")):
            return words
    for word in ("sensible-editor", "nano", "vim", "vi"):
        if shutil.which(word):
            return [word]
    raise ActionError("there is no editor: set $EDITOR")


async def edit_file(app: App[Any], file: Path) -> None:
    """Open a file in the editor until it ends. Raises ActionError when it cannot be run, or says that it failed."""
    words = [*editor(), str(file)]

    async def work() -> int:
        process = await asyncio.create_subprocess_exec(*words)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()

    try:
        code = await hand_over(app, work)
    except OSError as error:
        raise ActionError(f"{words[0]}: {error.strerror}") from error
    if code:
        raise ActionError(f"{words[0]} ended with {code}: nothing was taken")


async def edit_text(app: App[Any], content: str, name: str) -> str:
    """A text after the person edited it. name: of the file, its ending tells the editor what it is."""
    with tempfile.TemporaryDirectory(prefix="lxdpm-") as folder:  # mode 0700
        file = Path(folder) / name
        await asyncio.to_thread(file.write_text, content, encoding="utf-8")
        await edit_file(app, file)
        return await asyncio.to_thread(file.read_text, encoding="utf-8")
