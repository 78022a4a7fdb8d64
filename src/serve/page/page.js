// page.js - the chat: what is shown, and what its buttons do.
import { getJson, Refusal, setKey, streamChat } from "./client.js";
import { startMachine } from "./machine.js";
import { render } from "./markdown.js";
import { addMessage, createThread, deleteThread, listThreads, loadThread, messagesUntil, parentOf, pathOf, saveThread, showVersion,
         versionsOf } from "./threads.js";

const SETTINGS = "weir.settings";
const FILE_BYTES_MAX = 1 << 20;
const DRAW_MS = 60; // between two drawings of an answer that is being written
const byId = id => document.getElementById(id);

let thread = createThread();
let files = [];           // dropped, and not sent yet
let running = null;       // {node, abort} of the answer that is being written
let keyWaiters = [];
const items = new Map();  // of the messages that are shown: their places on the page

function tell(text) {
  byId("status").textContent = text;
}

function complain(text) {
  byId("alert").textContent = text;
}

// ---- the key ------------------------------------------------------------------------------

function wantKey() {
  const dialog = byId("key-dialog");
  if (!dialog.open)
    dialog.showModal();
  return new Promise(resolve => keyWaiters.push(resolve));
}

byId("key-form").addEventListener("submit", event => {
  event.preventDefault();
  setKey(byId("key").value.trim());
  byId("key").value = "";
  byId("key-dialog").close();
});
byId("key-dialog").addEventListener("close", () => {
  for (const resolve of keyWaiters.splice(0))
    resolve();
});

// ---- settings -----------------------------------------------------------------------------

const fields = [...document.querySelectorAll("[data-field]")];

// Null: one of them is not what it should be, and the user knows which.
function readSettings() {
  const settings = {};
  complain("");
  for (const field of fields) {
    if (!field.checkValidity()) {
      complain(`${field.dataset.field}: ${field.validationMessage}`);
      byId("settings").open = true;
      field.focus();
      return null;
    }
    if (field.value !== "")
      settings[field.dataset.field] = field.type === "number" ? Number(field.value) : field.value;
  }
  return settings;
}

function keepSettings() {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(Object.fromEntries(fields.map(field => [field.dataset.field, field.value]))));
  } catch (error) {
    complain(`The settings cannot be kept in this browser: ${error.message}`);
  }
}

function recallSettings() {
  try {
    const kept = JSON.parse(localStorage.getItem(SETTINGS)) ?? {};
    for (const field of fields)
      field.value = kept[field.dataset.field] ?? "";
  } catch {
    // Not ours, or damaged: all fields stay empty.
  }
}

// ---- conversations ------------------------------------------------------------------------

function keep() {
  try {
    if (Object.keys(thread.nodes).length > 0)
      saveThread(thread);
  } catch (error) {
    complain(`This conversation cannot be kept in this browser: ${error.message} Delete one that is not needed any more.`);
  }
  showThreads();
}

function showThreads() {
  const select = byId("threads");
  const entries = listThreads();
  if (!entries.some(entry => entry.id === thread.id))
    entries.unshift({ id: thread.id, title: thread.title || "New conversation" });
  select.replaceChildren(...entries.map(entry => {
    const option = document.createElement("option");
    option.value = entry.id;
    option.textContent = entry.title || "Without a title";
    option.selected = entry.id === thread.id;
    return option;
  }));
}

function openThread(opened) {
  stop();
  thread = opened;
  byId("system").value = thread.system;
  showThreads();
  showMessages();
}

byId("threads").addEventListener("change", event => openThread(loadThread(event.target.value) ?? createThread()));
byId("new-thread").addEventListener("click", () => {
  openThread(createThread());
  byId("text").focus();
});
byId("delete-thread").addEventListener("click", () => {
  if (!confirm("Delete this conversation with all its branches?"))
    return;
  stop();
  deleteThread(thread.id);
  const next = listThreads()[0];
  openThread((next && loadThread(next.id)) || createThread());
});
byId("system").addEventListener("change", event => {
  thread.system = event.target.value;
  keep();
});

// ---- messages -----------------------------------------------------------------------------

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

function block(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function versionButtons(node) {
  const { versions, index } = versionsOf(thread, node);
  if (versions.length < 2)
    return [];
  const show = to => {
    stop();
    showVersion(thread, versions[to]);
    keep();
    showMessages();
    items.get(versions[to].id)?.item.querySelector("button")?.focus();
  };
  const back = button("‹", "Earlier version", () => show(index - 1));
  const on = button("›", "Later version", () => show(index + 1));
  back.disabled = index === 0;
  on.disabled = index + 1 === versions.length;
  return [back, block("span", `${index + 1} of ${versions.length}`), on];
}

function toolsOf(node) {
  const tools = block("div", "", "tools");
  tools.append(...versionButtons(node));
  tools.append(button("Copy", "Copy this message", () => {
    navigator.clipboard.writeText(node.text).then(() => tell("Copied."), error => complain(`It cannot be copied: ${error.message}`));
  }));
  if (node.role === "user")
    tools.append(button("Edit", "Edit this message", () => edit(node)));
  if (node.role === "user" && pathOf(thread).at(-1) === node)
    tools.append(button("Answer", "Let this message be answered", () => answer(node)));
  if (node.role === "user")
    return tools;
  tools.append(button("Retry", "Write this answer again", () => retry(node)));
  return tools;
}

// The answer's part of the page that changes while it is written.
function draw(node) {
  const shown = items.get(node.id);
  if (!shown)
    return;
  const { body } = shown;
  const wasOpen = body.querySelector("details")?.open ?? false;
  const parts = [];
  if (node.reasoning !== "") {
    const details = document.createElement("details");
    details.open = wasOpen;
    details.append(block("summary", node.text === "" && running?.node === node ? "Reasoning, going on" : "Reasoning"), ...render(node.reasoning));
    parts.push(details);
  }
  if (node.role === "assistant")
    parts.push(...render(node.text));
  else
    parts.push(block("div", node.text, "plain"));
  for (const file of node.files ?? []) {
    const details = document.createElement("details");
    details.append(block("summary", `File ${file.name}`), block("pre", file.text));
    parts.push(details);
  }
  if (node.note !== "")
    parts.push(block("p", node.note));
  body.replaceChildren(...parts);
}

// Whoever stands on a button of a message stands there again when the messages were drawn anew.
function holdFocus() {
  const label = document.activeElement?.getAttribute("aria-label");
  const at = [...byId("messages").children].findIndex(item => item.contains(document.activeElement));
  return () => {
    const buttons = byId("messages").children[at]?.querySelectorAll("button") ?? [];
    [...buttons].find(one => one.getAttribute("aria-label") === label)?.focus();
  };
}

function showMessages() {
  const giveFocus = holdFocus();
  items.clear();
  const list = pathOf(thread).map(node => {
    const item = block("li", "", node.role);
    const body = document.createElement("div");
    item.append(block("h3", node.role === "user" ? "You" : "Model"), body, toolsOf(node));
    items.set(node.id, { item, body });
    draw(node);
    return item;
  });
  byId("messages").replaceChildren(...list);
  giveFocus();
}

function edit(node) {
  stop();
  const { item, body } = items.get(node.id);
  const form = document.createElement("form");
  const field = document.createElement("textarea");
  field.value = node.text;
  field.rows = 4;
  field.setAttribute("aria-label", "Edited message");
  const send = block("button", "Send as a new version");
  send.type = "submit";
  const row = block("div", "", "row");
  row.append(send, button("Cancel", "Cancel the edit", showMessages));
  form.append(field, row);
  form.addEventListener("submit", event => {
    event.preventDefault();
    answer(addMessage(thread, parentOf(node), "user", field.value, node.files));
  });
  body.replaceChildren(form);
  item.querySelector(".tools").hidden = true;
  field.focus();
}

function retry(node) {
  stop();
  answer(thread.nodes[parentOf(node)]);
}

// ---- answers ------------------------------------------------------------------------------

function stop() {
  running?.abort.abort();
}

function setRunning(now) {
  running = now;
  byId("stop").disabled = now === null;
  byId("send").disabled = now !== null;
}

function take(node, chunk) {
  const choice = chunk.choices?.[0];
  node.text += choice?.delta?.content ?? "";
  node.reasoning += choice?.delta?.reasoning_content ?? "";
  if (choice?.finish_reason === "length")
    node.note = "It ends here because the most tokens were written.";
  return chunk.usage;
}

// Writes a new answer to a message of the user's.
async function answer(question) {
  const settings = readSettings();
  if (settings === null) {
    showMessages();
    return;
  }
  const node = addMessage(thread, question.id, "assistant", "");
  const mine = { node, abort: new AbortController() };
  const owner = thread;
  setRunning(mine);
  showMessages();
  items.get(node.id).item.scrollIntoView({ block: "nearest" });
  tell("The answer is being written.");
  let usage = null, timer = 0;
  const redraw = () => {
    timer = 0;
    const form = byId("send-form");
    const isSeen = form.getBoundingClientRect().top < innerHeight; // then it stays so while the answer grows
    draw(node);
    if (isSeen)
      form.scrollIntoView({ block: "nearest" });
  };
  try {
    const body = { ...settings, messages: messagesUntil(owner, node) };
    await streamChat(body, mine.abort.signal, chunk => {
      usage = take(node, chunk) ?? usage;
      timer ||= setTimeout(redraw, DRAW_MS);
    });
    tell(usage ? `The answer is whole: ${usage.completion_tokens} tokens, ${usage.prompt_tokens} before them.` : "The answer is whole.");
    byId("spoken").textContent = node.text;
  } catch (error) {
    await heedFailure(node, error);
  }
  clearTimeout(timer);
  if (running === mine)
    setRunning(null);
  if (owner === thread) {
    keep();
    showMessages();
  } else {
    keepOther(owner);
  }
}

async function heedFailure(node, error) {
  if (error.name === "AbortError") {
    node.note = "Stopped.";
    tell("The answer was stopped.");
    return;
  }
  const later = error.retry > 0 ? ` It can be tried again in ${error.retry} s.` : "";
  node.note = `It failed: ${error.message.replace(/\.$/, "")}.${later}`;
  complain(node.note);
  tell("");
  if (error instanceof Refusal && error.status === 401)
    await wantKey();
}

// An answer that was stopped because another conversation was opened.
function keepOther(owner) {
  try {
    if (listThreads().some(entry => entry.id === owner.id))
      saveThread(owner);
  } catch (error) {
    complain(`The other conversation cannot be kept in this browser: ${error.message}`);
  }
  showThreads();
}

function send() {
  const text = byId("text").value;
  if (running !== null || (text.trim() === "" && files.length === 0))
    return;
  const path = pathOf(thread);
  const last = path.length === 0 ? null : path[path.length - 1].id;
  const question = addMessage(thread, last, "user", text, files);
  byId("text").value = "";
  files = [];
  showFiles();
  keep();
  answer(question);
}

byId("send-form").addEventListener("submit", event => {
  event.preventDefault();
  send();
});
byId("text").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
byId("stop").addEventListener("click", stop);
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !byId("key-dialog").open)
    stop();
});

// ---- files --------------------------------------------------------------------------------

function showFiles() {
  byId("files").replaceChildren(...files.map(file => {
    const item = block("li", `${file.name} (${file.text.length} characters) `);
    item.append(button("Remove", `Remove ${file.name}`, () => {
      files = files.filter(other => other !== file);
      showFiles();
    }));
    return item;
  }));
}

async function addFiles(list) {
  complain("");
  for (const file of list) {
    if (file.size > FILE_BYTES_MAX) {
      complain(`${file.name}: wanted at most 1 MiB of text, found ${file.size} bytes.`);
      continue;
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      if (text.includes("\0"))
        throw new TypeError("a zero byte");
      files.push({ name: file.name, text });
    } catch {
      complain(`${file.name}: wanted a text in UTF-8, found something else.`);
    }
  }
  showFiles();
}

byId("attach").addEventListener("change", event => {
  addFiles([...event.target.files]);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, event => {
    event.preventDefault();
    byId("send-form").classList.toggle("over", kind === "dragover");
    if (kind === "drop")
      addFiles([...event.dataTransfer.files]);
  });

// ---- the beginning ------------------------------------------------------------------------

async function showModel() {
  try {
    const props = await getJson("props");
    byId("model").textContent = `${props.model} (${props.family}), up to ${props.n_ctx} tokens`;
    document.title = `${props.model} – weir`;
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 401) {
      complain(`The server does not answer: ${error.message}.`);
      return;
    }
    await wantKey();
    await showModel();
  }
}

for (const field of fields)
  field.addEventListener("change", keepSettings);
recallSettings();
const latest = listThreads()[0];
openThread((latest && loadThread(latest.id)) || createThread());
showModel();
startMachine(wantKey);
