// client.js - requests to this server: the key, JSON, and streams of events.

const KEY = "weir.key";

export class Refusal extends Error {
  constructor(status, text, retry) {
    super(text);
    this.status = status;
    this.retry = retry;
  }
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function ask(path, options) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem(KEY);
  if (key !== null)
    headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers, credentials: "omit", referrerPolicy: "no-referrer" });
  if (answer.ok)
    return answer;
  let text = `status ${answer.status}`;
  try {
    text = (await answer.json()).error.message;
  } catch {
    // A proxy in between answers in another shape: the status has to do.
  }
  throw new Refusal(answer.status, text, Number(answer.headers.get("Retry-After")) || 0);
}

export async function getJson(path, signal) {
  return (await ask(path, { signal })).json();
}

// Calls tell with the data of each event of a text that comes in pieces, as server-sent events have them.
export function eventReader(tell) {
  let line = "", data = [], ended = false;
  function endLine() {
    if (line === "") {
      if (data.length > 0)
        tell(data.join("\n"));
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
    line = "";
  }
  return piece => {
    for (const character of piece) {
      if (character === "\n" && ended)
        ended = false; // the second half of CR LF
      else if (character === "\n" || character === "\r") {
        endLine();
        ended = character === "\r";
      } else {
        ended = false;
        line += character;
      }
    }
  };
}

// Tells each chunk of an answer as it comes; ends when the server has said that it is whole.
export async function streamChat(body, signal, tell) {
  const answer = await ask("v1/chat/completions", {
    method: "POST", signal, headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  let isWhole = false;
  const push = eventReader(data => {
    if (data === "[DONE]") {
      isWhole = true;
      return;
    }
    const chunk = JSON.parse(data);
    if (chunk.error)
      throw new Refusal(500, chunk.error.message, 0);
    tell(chunk);
  });
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done)
      break;
    push(decoder.decode(value, { stream: true }));
  }
  if (!isWhole)
    throw new Refusal(500, "the server ended the answer before it was whole", 0);
}
