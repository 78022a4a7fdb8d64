// settings.js - the dialog with the system prompt and what requests say of sampling.
import { byId, complain, say } from "./dom.js";

const NAME = "weir.settings";
const fields = [...document.querySelectorAll("[data-field]")];
const labelOf = field => field.closest("label").firstChild.textContent.trim();

// How many are set shows on the button, so that nobody wonders about an answer.
function showCount() {
  const count = fields.filter(field => field.value !== "" || !field.validity.valid).length + (byId("system").value.trim() !== "" ? 1 : 0);
  say("show-settings", count === 0 ? "Settings" : `Settings (${count} set)`);
}

function keep() {
  try {
    localStorage.setItem(NAME, JSON.stringify(Object.fromEntries(fields.map(field => [field.dataset.field, field.value]))));
  } catch (error) {
    complain(`The settings cannot be kept in this browser: ${error.message}`);
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME)) ?? {};
    for (const field of fields)
      field.value = typeof kept[field.dataset.field] === "string" ? kept[field.dataset.field] : "";
  } catch {
    // Not ours, or damaged: all fields stay empty.
  }
}

// Says what is wanted of the first field that is not what it should be, and gives it back.
function showFault() {
  const wrong = fields.find(field => !field.validity.valid);
  for (const field of fields)
    field.setAttribute("aria-invalid", String(!field.validity.valid));
  say("settings-alert", wrong ? `${labelOf(wrong)}: ${wrong.validationMessage}` : "");
  return wrong;
}

// What a request has to say; null: a field is not what it should be, and the user stands at it.
export function readSettings() {
  const wrong = showFault();
  if (wrong) {
    byId("settings").showModal();
    wrong.focus();
    return null;
  }
  const set = fields.filter(field => field.value !== "");
  const said = Object.fromEntries(set.map(field => [field.dataset.field, field.type === "number" ? Number(field.value) : field.value]));
  if (said.top_logprobs !== undefined)
    Object.assign(said, { logprobs: true, top_logprobs: Number(said.top_logprobs) });
  return said;
}

export function showSystem(text) {
  byId("system").value = text;
  showCount();
}

// changed: is called with the system prompt when it is another one.
export function startSettings(changed) {
  recall();
  showCount();
  for (const field of fields)
    field.addEventListener("change", () => {
      keep();
      showCount();
      showFault();
    });
  byId("system").addEventListener("change", event => {
    changed(event.target.value);
    showCount();
  });
  byId("show-settings").addEventListener("click", () => byId("settings").showModal());
  byId("settings-form").addEventListener("submit", event => {
    event.preventDefault();
    const wrong = showFault();
    if (wrong)
      wrong.focus();
    else
      byId("settings").close();
  });
  byId("reset-settings").addEventListener("click", () => {
    for (const field of fields)
      field.value = "";
    byId("system").value = "";
    changed("");
    keep();
    showCount();
    showFault();
  });
}
