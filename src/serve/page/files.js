// files.js - text files that go with the next message: chosen, dropped or pasted.
import { button, byId, complain, make } from "./dom.js";

const FILE_BYTES_MAX = 1 << 20;
let files = [];

function show() {
  byId("files").replaceChildren(...files.map(file => {
    const item = make("li", `${file.name} (${file.text.length.toLocaleString("en")} characters) `);
    item.append(button("Remove", `Remove ${file.name}`, () => {
      files = files.filter(other => other !== file);
      show();
      byId("text").focus();
    }));
    return item;
  }));
}

async function add(list) {
  const refused = [];
  for (const file of list) {
    if (file.size > FILE_BYTES_MAX) {
      refused.push(`${file.name}: wanted at most 1 MiB of text, found ${(file.size / FILE_BYTES_MAX).toFixed(1)} MiB.`);
      continue;
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      if (text.includes("\0"))
        throw new TypeError("a zero byte");
      files.push({ name: file.name, text });
    } catch {
      refused.push(`${file.name}: wanted a text in UTF-8, found something else.`);
    }
  }
  complain(refused.join(" "));
  show();
}

export function hasFiles() {
  return files.length > 0;
}

// They are the caller's then.
export function takeFiles() {
  const taken = files;
  files = [];
  show();
  return taken;
}

export function startFiles() {
  byId("attach").addEventListener("click", () => byId("attach-files").click());
  byId("attach-files").addEventListener("change", async event => {
    const list = [...event.target.files];
    event.target.value = "";
    await add(list);
    byId("text").focus();
  });
  for (const kind of ["dragover", "dragleave", "drop"])
    document.addEventListener(kind, event => {
      if (!event.dataTransfer?.types.includes("Files"))
        return; // a text that is dragged is the browser's affair
      event.preventDefault();
      byId("send-form").classList.toggle("over", kind === "dragover");
      if (kind === "drop")
        add([...event.dataTransfer.files]);
    });
  document.addEventListener("paste", event => {
    if (event.clipboardData?.files.length > 0) {
      event.preventDefault();
      add([...event.clipboardData.files]);
    }
  });
}
