// messages.js - the messages of a conversation: each has its place on the page once, and changes only where it has to.
import { button, byId, copy, make } from "./dom.js";
import { drawer } from "./markdown.js";
import { pathOf, versionsOf } from "./threads.js";

const items = new Map(); // by a message's id: its parts on the page
let acts = null;         // what buttons do: edit(node, text), retry(node), answer(node), answerNow(), inspect(node), show(node)
let shown = null;        // the conversation
let written = null;      // the message that is being written now
let isFollowing = true;  // whether the end stays in sight while it grows

// ---- the parts of a message ----------------------------------------------------------------

function makeFile(file) {
  const details = make("details", "", "file");
  details.append(make("summary", `File ${file.name}`), make("pre", file.text));
  details.lastChild.tabIndex = 0;
  return details;
}

function makeItem(node) {
  const part = { item: make("li", "", node.role), name: make("h3"), body: make("div", "", "body"), tools: make("div", "", "tools") };
  const text = make("div", "", node.role === "user" ? "plain" : "text");
  text.dir = "auto";
  if (node.role === "user") {
    text.textContent = node.text;
    text.hidden = node.text === "";
    part.body.append(text, ...node.files.map(makeFile));
  } else {
    part.reasoning = make("details", "", "reasoning");
    part.summary = make("summary");
    const thought = make("div", "", "text");
    part.reasoning.append(part.summary, thought);
    part.reasoning.addEventListener("toggle", () => draw(node));
    part.wait = make("p", "", "wait");
    part.note = make("p", "", "note");
    part.enough = button("Answer now", "Answer now: end the reasoning", () => acts.answerNow(), "");
    part.drawText = drawer(text);
    part.drawThought = drawer(thought);
    part.body.append(part.reasoning, part.enough, part.wait, text, part.note);
  }
  part.item.append(part.name, part.body, part.tools);
  return part;
}

// Far below a model's size a long conversation takes a while: the user sees that it goes on.
function waitText(node) {
  if (node.progress)
    return `Reading the conversation: ${node.progress.processed} of ${node.progress.total} tokens`;
  const seconds = Math.floor((performance.now() - (node.since ?? performance.now())) / 1000);
  return seconds < 2 ? "Reading the conversation" : `Reading the conversation for ${seconds} s`;
}

// The part of an answer that changes while it is written.
export function draw(node) {
  const part = items.get(node.id);
  if (part === undefined || node.role === "user")
    return;
  const isWritten = node === written;
  part.item.classList.toggle("written", isWritten);
  part.item.setAttribute("aria-busy", String(isWritten));
  part.reasoning.hidden = node.reasoning === "";
  part.summary.textContent = isWritten && node.text === "" ? "Reasoning, going on" : "Reasoning";
  part.enough.hidden = !isWritten || node.reasoning === "" || node.text !== "";
  if (part.reasoning.open)
    part.drawThought(node.reasoning);
  part.drawText(node.text);
  part.wait.hidden = !isWritten || node.text !== "" || node.reasoning !== "";
  part.wait.textContent = waitText(node);
  part.note.textContent = isWritten ? "" : node.note;
  part.note.hidden = part.note.textContent === "";
}

function versionButtons(node) {
  const { versions, index } = versionsOf(shown, node);
  if (versions.length < 2)
    return [];
  const step = (text, label, to) => {
    const made = button(text, label, () => acts.show(versions[to]));
    made.disabled = to < 0 || to >= versions.length;
    return made;
  };
  return [step("‹", "Earlier version", index - 1), make("span", `${index + 1} of ${versions.length}`, "count"),
          step("›", "Later version", index + 1)];
}

function fillTools(node, isLast) {
  const { tools } = items.get(node.id);
  const parts = versionButtons(node);
  parts.push(button("Copy", "Copy this message", event => copy(node.text, event.currentTarget)));
  if (node.role === "user")
    parts.push(button("Edit", "Edit this message", () => edit(node)));
  else
    parts.push(button("Retry", "Retry: write this answer again", () => acts.retry(node)),
               button("Inspect", "Inspect: what the model read and wrote", () => acts.inspect(node)));
  if (node.role === "user" && isLast)
    parts.push(button("Answer", "Answer this message", () => acts.answer(node)));
  if (node.stats !== "")
    parts.push(make("span", node.stats, "stats"));
  tools.replaceChildren(...parts);
}

function edit(node) {
  const part = items.get(node.id);
  const form = make("form", "", "edit");
  const field = make("textarea");
  const row = make("div", "", "row");
  const send = make("button", "Send as a new version", "first");
  const old = [...part.body.childNodes];
  const end = () => {
    part.tools.hidden = false;
    part.body.replaceChildren(...old);
    part.tools.querySelector("[aria-label^=Edit]")?.focus();
  };
  send.type = "submit";
  field.value = node.text;
  field.rows = Math.min(12, node.text.split("\n").length + 1);
  field.setAttribute("aria-label", "Edited message");
  row.append(button("Cancel", "Cancel the edit", end, ""), send);
  form.append(field, row);
  form.addEventListener("keydown", event => {
    if (event.key === "Escape") {
      event.preventDefault();
      end();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
      form.requestSubmit();
  });
  form.addEventListener("submit", event => {
    event.preventDefault();
    end();
    acts.edit(node, field.value);
  });
  part.tools.hidden = true;
  part.body.replaceChildren(form);
  field.focus();
}

// ---- all of them ---------------------------------------------------------------------------

// Whoever stands on a button of a message stands there again when the buttons were made anew.
function holdFocus() {
  const label = document.activeElement?.getAttribute("aria-label");
  const at = [...byId("messages").children].findIndex(item => item.querySelector(".tools").contains(document.activeElement));
  return () => {
    const buttons = [...(byId("messages").children[at]?.querySelectorAll(".tools button") ?? [])];
    const same = buttons.find(one => one.getAttribute("aria-label") === label);
    (same?.disabled ? buttons.find(one => !one.disabled) : same)?.focus();
  };
}

// name: of who answers where a message does not say it. running: the message that is being written, or null.
export function showMessages(thread, running, name) {
  const giveFocus = holdFocus();
  if (shown !== thread) {
    items.clear();
    isFollowing = true;
  }
  shown = thread;
  written = running;
  const path = pathOf(thread);
  path.forEach((node, index) => {
    if (!items.has(node.id))
      items.set(node.id, makeItem(node));
    items.get(node.id).name.textContent = node.role === "user" ? "You" : node.model || name;
    fillTools(node, index + 1 === path.length);
    draw(node);
  });
  const list = path.map(node => items.get(node.id).item);
  const places = byId("messages").children;
  const same = list.findIndex((item, index) => item !== places[index]); // only the end of a path changes
  while (places.length > (same < 0 ? list.length : same))
    byId("messages").lastChild.remove();
  if (same >= 0)
    byId("messages").append(...list.slice(same));
  byId("empty").hidden = path.length > 0;
  giveFocus();
  follow();
}

// ---- the end stays in sight ----------------------------------------------------------------

export function follow(isWanted = isFollowing) {
  const place = byId("scroll");
  isFollowing = isWanted;
  if (isFollowing)
    place.scrollTop = place.scrollHeight;
}

function heedScroll() {
  const place = byId("scroll");
  const { scrollTop, clientHeight, scrollHeight } = place;
  isFollowing = scrollTop + clientHeight > scrollHeight - 48;
  byId("newest").hidden = isFollowing;
}

export function startMessages(actions) {
  acts = actions;
  byId("scroll").addEventListener("scroll", heedScroll);
  new ResizeObserver(() => follow()).observe(byId("scroll"));
  byId("newest").addEventListener("click", () => {
    follow(true);
    byId("text").focus();
  });
  byId("messages").addEventListener("click", event => {
    const pressed = event.target.closest(".copy-code");
    if (pressed)
      copy(pressed.closest(".code").querySelector("pre").textContent, pressed);
  });
}
