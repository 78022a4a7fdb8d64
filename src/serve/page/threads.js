// threads.js - conversations: a tree of messages each, one path of which is shown; kept in this browser.

const INDEX = "weir.threads";
const PREFIX = "weir.thread.";
const ROOT = "root";

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, "0")).join("");
}

function read(name, usual) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? usual;
  } catch {
    return usual; // not ours, or damaged, or the browser keeps nothing
  }
}

// The newest first: {id, title} each.
export function listThreads() {
  const list = read(INDEX, []);
  return Array.isArray(list) ? list.filter(entry => typeof entry?.id === "string") : [];
}

export function createThread() {
  return { id: newId(), title: "", system: "", nodes: {}, chosen: {} };
}

const textOf = value => typeof value === "string" ? value : "";

// A message with all that the page reads of one, whatever was kept; null: it is none.
function readNode(kept) {
  if (typeof kept?.id !== "string" || typeof kept.parent !== "string" || !["user", "assistant"].includes(kept.role))
    return null;
  const files = (Array.isArray(kept.files) ? kept.files : []).filter(file => file && typeof file === "object");
  return {
    id: kept.id, parent: kept.parent, role: kept.role, text: textOf(kept.text), reasoning: textOf(kept.reasoning), note: textOf(kept.note),
    stats: textOf(kept.stats), model: textOf(kept.model), files: files.map(file => ({ name: textOf(file.name), text: textOf(file.text) })),
  };
}

// Null where there is none, or what was kept is no conversation.
export function loadThread(id) {
  const kept = read(PREFIX + id, null);
  if (typeof kept?.nodes !== "object" || typeof kept.chosen !== "object" || kept.nodes === null || kept.chosen === null)
    return null;
  const nodes = Object.values(kept.nodes).map(readNode).filter(node => node !== null);
  return { id, title: textOf(kept.title), system: textOf(kept.system), nodes: Object.fromEntries(nodes.map(node => [node.id, node])),
           chosen: { ...kept.chosen } };
}

// Throws where the browser has no room left for it.
export function saveThread(thread) {
  localStorage.setItem(PREFIX + thread.id, JSON.stringify(thread));
  const others = listThreads().filter(entry => entry.id !== thread.id);
  localStorage.setItem(INDEX, JSON.stringify([{ id: thread.id, title: thread.title }, ...others]));
}

export function deleteThread(id) {
  localStorage.removeItem(PREFIX + id);
  localStorage.setItem(INDEX, JSON.stringify(listThreads().filter(entry => entry.id !== id)));
}

// Calls changed with a conversation's id when another tab has saved or deleted it, with null when only the list changed.
export function watchThreads(changed) {
  addEventListener("storage", event => {
    if (event.key === null || event.key === INDEX)
      changed(null);
    else if (event.key.startsWith(PREFIX))
      changed(event.key.slice(PREFIX.length));
  });
}

function childrenOf(thread, parent) {
  return Object.values(thread.nodes).filter(node => node.parent === parent);
}

// The messages that are shown, from the first on.
export function pathOf(thread) {
  const path = [];
  let at = thread.chosen[ROOT];
  while (at !== undefined && thread.nodes[at] !== undefined && path.length < 10000) {
    path.push(thread.nodes[at]);
    at = thread.chosen[at];
  }
  return path;
}

// A message behind parent (null: the first), and shown from now on. What was there before stays, as another branch.
export function addMessage(thread, parent, role, text, files = []) {
  const node = { id: newId(), parent: parent === null ? ROOT : parent, role, text, reasoning: "", files, note: "", stats: "", model: "" };
  thread.nodes[node.id] = node;
  thread.chosen[node.parent] = node.id;
  if (thread.title === "" && role === "user")
    thread.title = text.trim().split("\n")[0].slice(0, 60) || files[0]?.name || "";
  return node;
}

export function parentOf(node) {
  return node.parent === ROOT ? null : node.parent;
}

// All versions of a message, and which of them is shown.
export function versionsOf(thread, node) {
  const versions = childrenOf(thread, node.parent);
  return { versions, index: versions.findIndex(version => version.id === node.id) };
}

export function showVersion(thread, node) {
  thread.chosen[node.parent] = node.id;
}

function contentOf(node) {
  const files = (node.files ?? []).map(file => {
    const longest = (file.text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
    const fence = "`".repeat(longest + 1);
    return `File ${file.name}:\n${fence}\n${file.text}\n${fence}`;
  });
  return [...files, node.text].filter(part => part !== "").join("\n\n");
}

// The path up to a message (not with it), as the API wants it.
export function messagesUntil(thread, end) {
  const messages = thread.system.trim() === "" ? [] : [{ role: "system", content: thread.system }];
  for (const node of pathOf(thread)) {
    if (node.id === end.id)
      break;
    messages.push({ role: node.role, content: contentOf(node) });
  }
  return messages;
}
