// The calls of lxd-webgui: only /1.0/containers, the server's address with a slash too many before /1.0, one GET per
// URL of a list, and an operation asked for below /1.0/1.0, whose 404 it takes for "done".
"use strict";

const server = location.origin + "/";

async function call(method, path, body) {
  const answer = await fetch(server + path, {
    method,
    credentials: "include",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  return { status: answer.status, json: await answer.json() };
}

async function get(path) {
  const found = await call("GET", path);
  if (found.status !== 200) throw new Error(`${path}: ${found.status} ${found.json.error}`);
  return found.json.metadata;
}

async function each(list) {
  return Promise.all((await get(list)).map(get));
}

async function done(started) {
  if (started.status !== 202) throw new Error(`${started.status} ${started.json.error}`);
  const asked = await call("GET", "/1.0" + started.json.operation);
  if (asked.status !== 404) throw new Error(`the operation below /1.0/1.0: ${asked.status}`);
  return call("GET", started.json.operation + "/wait"); // what a person does by waiting before the next click
}

async function show() {
  const rows = await each("/1.0/containers");
  const list = document.getElementById("containers");
  list.replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("li");
      line.textContent = `${row.name} ${row.status} ${row.location}`;
      return line;
    }),
  );
  return rows;
}

// A terminal: one websocket for it, one for its control. Types at the first prompt; ends with the shell.
async function terminal(name, typed) {
  const started = await call("POST", `/1.0/containers/${name}/exec`, {
    command: ["/bin/sh"],
    environment: { HOME: "/root", TERM: "xterm", USER: "root" },
    "wait-for-websocket": true,
    interactive: true,
  });
  const { id, metadata } = started.json.metadata;
  const open = (secret) => {
    const url = `${server.replace(/^http/, "ws")}/1.0/operations/${id}/websocket?secret=${secret}`;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    return socket;
  };
  const control = open(metadata.fds.control);
  const socket = open(metadata.fds["0"]);
  let seen = "";
  return new Promise((resolve, reject) => {
    control.onopen = () => control.send(JSON.stringify({ command: "window-resize", args: { width: "80", height: "24" } }));
    socket.onmessage = (event) => {
      if (event.data === "") return socket.close(); // the shell has ended
      seen += typeof event.data === "string" ? event.data : new TextDecoder().decode(event.data);
      step(`the terminal: ${seen}`);
      if (typed && seen.includes("# ")) {
        socket.send(new TextEncoder().encode(typed + "\n"));
        typed = "";
      }
    };
    socket.onerror = () => reject(new Error("the terminal's websocket failed"));
    socket.onclose = () => resolve(seen);
  });
}

function nextEvent(types, holds) {
  const socket = new WebSocket(`${server.replace(/^http/, "ws")}/1.0/events?type=${types}`);
  const opened = new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the events' websocket failed"));
  });
  const event = new Promise((resolve) => {
    socket.onmessage = (message) => {
      const found = JSON.parse(message.data);
      if (holds(found)) resolve(found);
    };
  });
  return { opened, event };
}

function step(name) {
  document.title = name; // where it was, if it hangs
}

// What the test asks for: the whole round on one host.
window.round = async (name, host) => {
  step("lists");
  const api = await get("/1.0");
  for (const kind of ["images", "profiles", "networks", "certificates"]) await each(`/1.0/${kind}`);
  const operations = await get("/1.0/operations");
  const events = nextEvent("lifecycle", (event) => event.metadata.action === "instance-created");
  step("the events' websocket");
  await events.opened;
  step("create");
  await done(
    await call("POST", `/1.0/containers?target=${host}`, {
      name,
      source: { type: "image", alias: "busybox" },
      profiles: ["default"],
    }),
  );
  step("the event");
  const created = await events.event;
  const state = (action) => call("PUT", `/1.0/containers/${name}/state`, { action, timeout: 30, force: true });
  step("start");
  await done(await state("start"));
  const running = await show();
  const text = document.body.innerText;
  step("the terminal");
  // LXD 5.0 may lose what a command says right before its end.
  const seen = await terminal(name, "echo $((40 + 2))-$USER; sleep 0.2; exit 0");
  step("stop and delete");
  await done(await state("stop"));
  await done(await call("DELETE", `/1.0/containers/${name}`));
  const left = await show();
  return {
    auth: api.auth,
    operations: Object.keys(operations).every((status) => Array.isArray(operations[status])),
    created: created.metadata.source,
    running: running.map((row) => [row.name, row.status, row.location]),
    text,
    seen,
    left: left.length,
  };
};

// What a page from elsewhere gets: by fetch with and without CORS, by a form's content type, and by a websocket.
window.foreign = async (other) => {
  const attempt = async (promise) => promise.then((answer) => answer.status || answer.type, () => "refused");
  const socket = new Promise((resolve) => {
    const opened = new WebSocket(other.replace(/^http/, "ws") + "/1.0/events");
    opened.onopen = () => resolve("open");
    opened.onerror = () => resolve("refused");
  });
  const body = JSON.stringify({ state: "gather" });
  return {
    cors: await attempt(fetch(other + "/1.0/containers")),
    change: await attempt(fetch(other + "/1.0/planner", { method: "PUT", body })),
    form: await attempt(fetch(other + "/1.0/containers", { method: "POST", mode: "no-cors", body })),
    socket: await socket,
  };
};
