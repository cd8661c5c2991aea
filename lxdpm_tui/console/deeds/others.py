"""What is done to hosts, images, profiles, tasks and the console itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.resources.tasks import what
from lxdpm_tui.console.screens.profile import ProfileCreateScreen, ProfileEditScreen
from lxdpm_tui.console.screens.small_forms import ImageAliasScreen, ImageImportScreen

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts


async def retry(acts: Acts) -> None:
    row = acts.row
    acts.session.retry(row.name if acts.screen.place == "hosts" else row.host)


async def maintenance(acts: Acts) -> None:
    for _, row in acts.rows:
        await acts.session.attempt("maintenance", host=row.name, on="off" if row.maintenance else "on")
    acts.unmark()


async def edit(acts: Acts) -> None:
    await acts.form(ProfileEditScreen(acts.session, acts.row))


async def cancel(acts: Acts) -> None:
    for _, task in acts.rows:
        if task.cancel():
            acts.session.say("info", f"Cancelling: {what(task)}")
        elif not task.status.final:
            acts.session.say("warn", f"{what(task)} cannot be cancelled")


async def leave(acts: Acts) -> None:
    """Quit; ask only while something runs."""
    running = acts.session.running()
    if running:
        lines = [Line("", what(task)) for task in running[:8]]
        lines.append(Line("", "They are cancelled and undone; what cannot be now is at the next start.", "warn"))
        question = f"Leave while {text.count(len(running), 'task')} still {'runs' if len(running) == 1 else 'run'}?"
        if await acts.ask(question, lines, yes="Leave") is None:
            return
    acts.screen.leave()


async def import_image(acts: Acts) -> None:
    await acts.form(ImageImportScreen(acts.session))


async def distribute(acts: Acts) -> None:
    """An image to the hosts that have it not."""
    row = acts.row
    missing = [host for host in acts.session.inventory.hosts if host not in row.copies]
    source = f"{row.host}:{row.aliases[0] if row.aliases else row.fingerprint}"
    values = {
        "source": source,
        "aliases": " ".join(row.aliases),
        "hosts": " ".join(missing),
        "project": row.project,
        "public": "yes" if row.public else "no",
    }
    await acts.form(ImageImportScreen(acts.session, values))


async def image_aliases(acts: Acts) -> None:
    await acts.form(ImageAliasScreen(acts.session, acts.row))


async def level(acts: Acts) -> None:
    from lxdpm_tui.console.screens.level import ProfileLevelScreen

    await acts.form(ProfileLevelScreen(acts.session, acts.row))


async def add_host(acts: Acts) -> None:
    from lxdpm_tui.console.screens.host_forms import HostAddScreen

    await acts.form(HostAddScreen(acts.session))


async def label_host(acts: Acts) -> None:
    from lxdpm_tui.console.screens.host_forms import HostLabelsScreen

    await acts.form(HostLabelsScreen(acts.session, acts.row))


async def create_profile(acts: Acts) -> None:
    await acts.form(ProfileCreateScreen(acts.session))
