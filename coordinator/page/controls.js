// The operator's controls, each with a confirmation. The token is kept in this page's memory only.

const ACTIONS = {
  pause: { label: "Pause arrivals", when: (now) => now.state === "running" && !now.paused,
    what: "Agents launch no new connections until you resume. Open connections stay open, and the rest of the plan is put off." },
  resume: { label: "Resume arrivals", when: (now) => now.paused,
    what: "Arrivals continue where the plan was paused." },
  drain: { label: "Drain", danger: true, when: (now) => now.state === "gathering" || now.state === "running",
    what: "Every connection is closed in good order, and the run ends. This can't be undone." },
  stop: { label: "Stop now", danger: true, when: (now) => now.state !== "done",
    what: "Every connection is aborted at once, and the run ends. This can't be undone." },
};

/** What the operator may change of the plan while the run goes on. */
const CHANGES = {
  rate: { label: "Set rate", field: "Arrivals per second", kind: { type: "number", min: "0", step: "any", required: "" }, read: Number, when: (now) => now.state === "running",
    what: "Connections arrive at this rate from about two seconds on; in a plan with phases until the phase is over." },
  max: { label: "Set max", field: "Connections in all", kind: { type: "number", min: "1", step: "1", required: "" }, read: Number, when: (now) => now.state === "running" && now.phases.length === 1,
    what: "So many connections arrive in all, those that have arrived included. What is open stays open." },
  phase: { label: "Go to phase", field: "Name of a later phase; empty: the next one", kind: { type: "text" }, read: String, when: (now) => now.state === "running" && now.phases.length > 1,
    what: "The phase that runs ends in about two seconds, and this one begins." },
};

let token = "";

const headers = () => ({ "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) });

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Asks the operator until `send` succeeds or they cancel; it asks for the token where the reply wants it. */
function ask({ title, what, label, danger, needsToken, value, send }) {
  const dialog = element("dialog", "", { "aria-labelledby": "ask-title" });
  const form = element("form", "", { method: "dialog" });
  const field = element("label", "Token ");
  const input = element("input", "", { type: "password", autocomplete: "off", name: "token" });
  const wrong = element("p", "", { class: "wrong", role: "alert" });
  const [cancel, go] = [element("button", "Cancel", { type: "button" }), element("button", label, danger ? { class: "danger" } : {})];
  const row = element("div", "", { class: "row" });
  field.append(input);
  field.hidden = !needsToken;
  row.append(cancel, go);
  form.append(element("h2", title, { id: "ask-title" }), element("p", what), ...(value ? [value] : []), field, wrong, row);
  dialog.append(form);
  document.body.append(dialog);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!field.hidden) token = input.value.trim();
    try {
      const reply = await send();
      if (reply.ok) {
        dialog.close();
        return;
      }
      if (reply.status === 401) {
        field.hidden = false;
        input.focus();
      }
      wrong.textContent = (await reply.json()).error;
    } catch {
      wrong.textContent = "The coordinator does not answer.";
    }
  });
  dialog.showModal();
}

/** Makes the buttons; `show` enables those that fit the state of the run. */
export function controls(parent) {
  const buttons = Object.entries(ACTIONS).map(([action, of]) => {
    const button = element("button", of.label, { type: "button", "data-action": action, ...(of.danger ? { class: "danger" } : {}) });
    const send = () => fetch(`/v1/run/${action}`, { method: "POST", headers: headers(), body: "{}" });
    button.addEventListener("click", () => ask({ title: `${of.label}?`, what: of.what, label: of.label, danger: of.danger, send }));
    return button;
  });
  const changes = Object.entries(CHANGES).map(([name, of]) => {
    const button = element("button", of.label, { type: "button", "data-change": name });
    button.addEventListener("click", () => {
      const value = element("label", `${of.field} `);
      const input = element("input", "", { ...of.kind, name, autocomplete: "off" });
      value.append(input);
      const send = () => fetch(`/v1/run/${name}`, { method: "POST", headers: headers(), body: JSON.stringify({ [name]: of.read(input.value) }) });
      ask({ title: `${of.label}?`, what: of.what, label: of.label, value, send });
    });
    return button;
  });
  parent.replaceChildren(buttons[0], buttons[1], ...changes, ...buttons.slice(2));
  return { show: (now) => {
    buttons.forEach((button) => { button.disabled = !ACTIONS[button.dataset.action].when(now); });
    changes.forEach((button) => { button.disabled = !CHANGES[button.dataset.change].when(now); });
  } };
}

/** Asks for the token that viewing needs. */
export async function logIn(again) {
  if (document.querySelector("dialog[open]")) return;
  const send = async () => {
    const reply = await fetch("/v1/view", { method: "POST", headers: headers(), body: "{}" });
    if (reply.ok) again();
    return reply;
  };
  ask({ title: "Viewing this run needs its token", what: "It is the secret in the coordinator's --token-file.", label: "View", needsToken: true, send });
}
