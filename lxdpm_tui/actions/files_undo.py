"""What takes back the journalled steps of a push that was cut off, be it by the end of the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.hosts.transport import ApiError

if TYPE_CHECKING:
    from lxdpm_tui.hosts.files import Entry, Files
    from lxdpm_tui.hosts.host import Host


async def absent(host: Host, args: dict[str, Any]) -> None:
    """{project, instance, directory, names}: names that were not in the directory before. Deeper ones go first.

    Raises ApiError for what stays: a directory in which there are other people's files.
    """
    files = _files(host, args)
    stays: ApiError | None = None
    for name in args["names"]:
        path = f"{args['directory']}/{name}"
        try:
            if await look(files, path) is not None:
                await files.delete(path)
        except ApiError as error:
            stays = ApiError(error.host, error.code, f"{args['instance']}: {path} is left: {error.text}")
    if stays is not None:
        raise stays


async def replaced(host: Host, args: dict[str, Any]) -> None:
    """{project, instance, path, kind, size, before}: one that was there, and that was being replaced.

    kind, size: of what it becomes.  before: its size.  Whole, or not touched yet, it stays; half written it goes.
    Raises ActionError when what it held is lost: nobody has a copy of it.
    """
    files, path = _files(host, args), args["path"]
    now = await look(files, path)
    if now is not None and (args["kind"] != "file" or now.kind != "file" or now.size in (args["size"], args["before"])):
        return
    if now is not None:
        await files.delete(path)
    raise ActionError(
        f"{args['host']}: {args['instance']}: {path} was being replaced: what it held is lost, and the half of the new"
        " one was removed",
        500,
    )


async def look(files: Files, path: str) -> Entry | None:
    """What is there now; None for nothing. Raises ApiError, and the HostError family."""
    from lxdpm_tui.hosts.files import gone

    try:
        return await files.look(path)
    except ApiError as error:
        if gone(error):
            return None
        raise


def _files(host: Host, args: dict[str, Any]) -> Files:
    from lxdpm_tui.hosts.files import Files

    return Files(host, args["instance"], args["project"])
