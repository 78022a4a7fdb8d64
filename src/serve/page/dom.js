// dom.js - what the page's scripts share: elements, words to the user, the clipboard.

export const byId = id => document.getElementById(id);

export function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className !== "")
    made.className = className;
  return made;
}

// label: what a screen reader says instead of the text, which it contains.
export function button(text, label, act, className = "quiet") {
  const made = make("button", text, className);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

// Writes a text only where it is another one, so that nobody hears the same twice.
export function say(id, text) {
  if (byId(id).textContent !== text)
    byId(id).textContent = text;
}

export function tell(text) {
  say("status", text);
}

export function complain(text) {
  say("alert", text);
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit + 1 < units.length) {
    count /= 1024;
    unit++;
  }
  return `${count.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

// Browsers give pages of other machines no clipboard unless they come over TLS: the old way does there.
async function write(text) {
  if (navigator.clipboard)
    return navigator.clipboard.writeText(text);
  const field = make("textarea", text, "hidden");
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done)
    throw new Error("the browser does not let this page copy");
}

// Says so on the button that was pressed.
export async function copy(text, pressed) {
  try {
    await write(text);
  } catch (error) {
    complain(`It cannot be copied: ${error.message}`);
    return;
  }
  const before = pressed.textContent;
  tell("Copied.");
  if (before === "Copied")
    return;
  pressed.textContent = "Copied";
  setTimeout(() => {
    pressed.textContent = before;
    tell("");
  }, 1500);
}
