"""Routes of profiles and projects."""

from __future__ import annotations

from aiohttp import web

from lxdpm_tui.demo import render, rules
from lxdpm_tui.demo.answers import Call, Handler, accepted, created, done, sync
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Project, etag
from lxdpm_tui.demo.variants import JSON, Problem


def merge(old: JSON, body: JSON, keys: tuple[str, ...]) -> JSON:
    """PATCH of an object: dictionaries are merged, the rest is set if it is there."""
    new = dict(old)
    for key in keys:
        if isinstance(old[key], dict):
            new[key] = old[key] | (body.get(key) or {})
        else:
            new[key] = body.get(key, old[key])
    return new


# -- profiles


def no_project(call: Call, loading: str = "Failed loading") -> str:
    return f'{loading} project "{call.project}": Project not found'


async def list_profiles(call: Call) -> web.Response:
    state = call.state
    projects = call.projects("profiles_all_projects", no_project(call))
    found = {id(p): p for p in (state.holder("profiles", project) for project in projects)}
    names = [(project, name) for project in found.values() for name in project.profiles]
    if call.recursion:
        return sync([render.profile(state, project, name) for project, name in names])
    return sync([state.url("profiles", name, project=project.name) for project, name in names])


def _tell_profile(call: Call, project: Project, name: str, what: str, context: JSON | None = None) -> str:
    url = call.state.url("profiles", name, project=project.name)
    call.state.hub.lifecycle(project.name, f"profile-{what}", url, context=context)
    return url


def _profile_body(body: JSON) -> JSON:
    return {
        "config": {key: str(value) for key, value in (body.get("config") or {}).items()},
        "description": body.get("description") or "",
        "devices": body.get("devices") or {},
    }


async def create_profile(call: Call) -> web.Response:
    project = call.holder("profiles", no_project(call))
    body = await call.body()
    name = body.get("name") or ""
    rules.check_profile_name(name)
    new = _profile_body(body)
    _check_as_bad_request(new)
    rules.check_devices(call.state, new["devices"])
    if name in project.profiles:
        raise call.state.variant.problem("profile-exists", name=name)
    project.profiles[name] = new
    return created(_tell_profile(call, project, name, "created"))


def _check_as_bad_request(profile: JSON) -> None:
    try:
        rules.check_config(profile["config"])
    except Problem as problem:
        raise Problem(400, problem.text) from None


def _profile(call: Call, missing: str) -> tuple[Project, str, JSON]:
    project = call.holder("profiles", no_project(call))
    name = call.parts["name"]
    if name not in project.profiles:
        raise Problem(404, missing.format(name=name))
    return project, name, project.profiles[name]


async def get_profile(call: Call) -> web.Response:
    project, name, found = _profile(call, "Fetch profile: Profile not found")
    return sync(render.profile(call.state, project, name), etag(found))


def _set_profile(call: Call, project: Project, name: str, new: JSON) -> web.Response:
    _tell_profile(call, project, name, "updated")  # told also when it fails, as LXD does
    rules.check_config(new["config"])
    rules.check_devices(call.state, new["devices"])
    project.profiles[name] = new
    return done()


async def put_profile(call: Call) -> web.Response:
    project, name, found = _profile(call, 'Failed to retrieve profile "{name}": Profile not found')
    call.check_etag(etag(found))
    return _set_profile(call, project, name, _profile_body(await call.body()))


async def patch_profile(call: Call) -> web.Response:
    project, name, found = _profile(call, 'Failed to retrieve profile="{name}": Profile not found')
    call.check_etag(etag(found))
    merged = merge(found, await call.body(), ("config", "description", "devices"))
    return _set_profile(call, project, name, _profile_body(merged))


async def rename_profile(call: Call) -> web.Response:
    project = call.holder("profiles", no_project(call))
    name, new_name = call.parts["name"], (await call.body()).get("name") or ""
    if name == "default":
        raise Problem(403, 'The "default" profile cannot be renamed')
    rules.check_profile_name(new_name)
    if new_name in project.profiles:
        raise call.state.variant.problem("profile-name-taken", name=new_name)
    if name not in project.profiles:
        raise call.state.variant.problem("profile-to-rename-missing", name=name)
    project.profiles[new_name] = project.profiles.pop(name)
    for one in call.state.instances():
        if call.state.holder("profiles", call.state.projects[one.project]) is project:
            one.profiles = [new_name if profile == name else profile for profile in one.profiles]
    return created(_tell_profile(call, project, new_name, "renamed", {"old_name": name}))


async def delete_profile(call: Call) -> web.Response:
    if call.parts["name"] == "default":
        raise Problem(403, 'The "default" profile cannot be deleted')
    project, name, _ = _profile(call, "Profile not found")
    if render.profile(call.state, project, name)["used_by"]:
        raise Problem(500, "Profile is currently in use")
    del project.profiles[name]
    _tell_profile(call, project, name, "deleted")
    return done()


# -- projects


async def list_projects(call: Call) -> web.Response:
    if call.recursion:
        return sync([render.project(call.state, project) for project in call.state.projects.values()])
    return sync([call.state.url("projects", name) for name in call.state.projects])


def _tell_project(call: Call, name: str, what: str, context: JSON | None = None) -> str:
    url = call.state.url("projects", name)
    call.state.hub.lifecycle(name, f"project-{what}", url, context=context)
    return url


def _check_project_config(config: JSON) -> None:
    for key in config:
        if not key.startswith(("features.", "limits.", "restricted", "user.", "images.", "backups.")):
            raise Problem(400, f'Invalid project configuration key "{key}"')


async def create_project(call: Call) -> web.Response:
    body = await call.body()
    name = body.get("name") or ""
    if not name:
        raise Problem(400, "No name provided")
    for character, what in ((" ", "spaces"), ("/", "slashes"), ("_", "underscores")):
        if character in name:
            raise Problem(400, f"Project names may not contain {what}")
    config = {key: str(value) for key, value in (body.get("config") or {}).items()}
    _check_project_config(config)
    if name in call.state.projects:
        raise call.state.variant.problem("project-exists", name=name)
    features = {f"features.{feature}": "true" for feature in call.state.variant.project_features}
    project = Project(name, body.get("description") or "", features | config)
    if project.config["features.profiles"] == "true":
        description = f"Default {call.state.variant.title} profile for project {name}"
        project.profiles["default"] = {"config": {}, "description": description, "devices": {}}
    call.state.projects[name] = project
    return created(_tell_project(call, name, "created"))


def _project(call: Call, missing: str = "Project not found") -> Project:
    name = call.parts["name"]
    return call.state.project(name, missing.format(name=name))


def _project_etag(project: Project) -> str:
    return etag(project.config, project.description)


async def get_project(call: Call) -> web.Response:
    found = _project(call)
    return sync(render.project(call.state, found), _project_etag(found))


async def project_state(call: Call) -> web.Response:
    found = _project(call, "Fetch project database object: Project not found")
    kinds = [one.type for one in found.instances.values()]
    usage = {"containers": kinds.count("container"), "cpu": 0, "disk": 0, "instances": len(kinds), "memory": 0}
    usage["networks"] = len(call.state.networks) if found.name == "default" else 0
    usage |= {"processes": 0, "virtual-machines": kinds.count("virtual-machine")}
    return sync({"resources": {key: {"Limit": -1, "Usage": value} for key, value in usage.items()}})


async def put_project(call: Call) -> web.Response:
    return await _change_project(call, whole=True)


async def patch_project(call: Call) -> web.Response:
    return await _change_project(call, whole=False)


async def _change_project(call: Call, *, whole: bool) -> web.Response:
    found = _project(call)
    call.check_etag(_project_etag(found))
    body = await call.body()
    given = {key: str(value) for key, value in (body.get("config") or {}).items()}
    _check_project_config(given)
    _tell_project(call, found.name, "updated")
    config = given if whole else found.config | given
    for feature in call.state.variant.project_features:
        key = f"features.{feature}"
        if config.get(key) != found.config.get(key) and (found.instances or found.images):
            raise Problem(400, f'Project feature "{key}" cannot be disabled on non-empty projects')
    found.config = config
    found.description = body.get("description", "" if whole else found.description)
    return done()


def _in_use(found: Project) -> bool:
    return bool(found.instances or found.images or found.volumes or set(found.profiles) - {"default"})


async def rename_project(call: Call) -> web.Response:
    if call.parts["name"] == "default":
        raise Problem(403, "The 'default' project cannot be renamed")
    found = _project(call)
    new_name = (await call.body()).get("name") or ""

    async def work(_: Operation) -> None:
        if _in_use(found):
            raise Problem(500, "Only empty projects can be renamed")
        call.state.projects[new_name] = call.state.projects.pop(found.name)
        old, found.name = found.name, new_name
        _tell_project(call, new_name, "renamed", {"old_name": old})

    return accepted(call.state.operations.start("Renaming project", found.name, work))


async def delete_project(call: Call) -> web.Response:
    if call.parts["name"] == "default":
        raise Problem(403, "The 'default' project cannot be deleted")
    found = _project(call, 'Fetch project "{name}": Project not found')
    if _in_use(found):
        raise call.state.variant.problem("project-not-empty")
    del call.state.projects[found.name]
    _tell_project(call, found.name, "deleted")
    return done()


ROUTES: dict[str, dict[str, Handler]] = {
    "/1.0/profiles": {"GET": list_profiles, "POST": create_profile},
    "/1.0/profiles/{name}": {
        "GET": get_profile,
        "PUT": put_profile,
        "PATCH": patch_profile,
        "POST": rename_profile,
        "DELETE": delete_profile,
    },
    "/1.0/projects": {"GET": list_projects, "POST": create_project},
    "/1.0/projects/{name}": {
        "GET": get_project,
        "PUT": put_project,
        "PATCH": patch_project,
        "POST": rename_project,
        "DELETE": delete_project,
    },
    "/1.0/projects/{name}/state": {"GET": project_state},
}
