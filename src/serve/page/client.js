// client.js - requests to this server: the key, JSON, and streams of events.

const KEY = "weir.key";

// What a request failed of, in words. Its status is 0 where no server answered.
export class Refusal extends Error {
  constructor(status, text, retry = 0) {
    super(text);
    this.status = status;
    this.retry = retry;
  }
}

let key = null;
try {
  key = sessionStorage.getItem(KEY);
} catch {
  // The browser keeps nothing for this page: the key is kept here, until the page is left.
}

export function setKey(next) {
  key = next;
  try {
    sessionStorage.setItem(KEY, next);
  } catch {
    // As above.
  }
}

export function hasKey() {
  return key !== null;
}

function isStop(error) {
  return error.name === "AbortError";
}

async function ask(path, options) {
  const headers = { ...options.headers };
  const shown = key;
  if (key !== null)
    headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "omit", referrerPolicy: "no-referrer" });
  } catch (error) {
    throw isStop(error) ? error : new Refusal(0, `no server answers at ${location.host}; is weir serve still running?`);
  }
  if (answer.ok)
    return answer;
  if (answer.status === 401 && shown !== key)
    return ask(path, options); // a new one was given meanwhile
  let text = `the server answers with status ${answer.status} and no reason`;
  try {
    text = (await answer.json()).error.message;
  } catch {
    // A proxy in between answers in another shape: the status has to do.
  }
  throw new Refusal(answer.status, text, Number(answer.headers.get("Retry-After")) || 0);
}

export function getJson(path, signal) {
  return readJson(path, { signal });
}

export function postJson(path, body, signal) {
  return readJson(path, { method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

async function readJson(path, options) {
  const answer = await ask(path, options);
  try {
    return await answer.json();
  } catch (error) {
    throw isStop(error) ? error : new Refusal(0, "the connection broke off in an answer");
  }
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

// The pieces of an answer's text, as they come.
async function readPieces(answer, push) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      throw isStop(error) ? error : new Refusal(0, "the connection broke off in the middle of the answer");
    }
    if (piece.done)
      return;
    push(decoder.decode(piece.value, { stream: true }));
  }
}

// A chat's request as it is sent.
export function chatBody(body) {
  return { ...body, stream: true, stream_options: { include_usage: true }, return_progress: true };
}

// Tells each chunk of an answer as it comes, and the line that it was; ends when the server has said that it is whole.
export async function streamChat(body, signal, tell) {
  const answer = await ask("v1/chat/completions", {
    method: "POST", signal, headers: { "Content-Type": "application/json" },
    body: JSON.stringify(chatBody(body)),
  });
  let isWhole = false;
  const push = eventReader(data => {
    if (data === "[DONE]") {
      isWhole = true;
      return;
    }
    const chunk = JSON.parse(data);
    if (chunk.error)
      throw new Refusal(500, chunk.error.message);
    tell(chunk, data);
  });
  await readPieces(answer, push);
  if (!isWhole)
    throw new Refusal(0, "the server ended the answer before it was whole");
}

// The answer of this id stops thinking, and begins.
export async function endReasoning(id) {
  await ask("v1/chat/completions/control", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id, action: "reasoning_end" }),
  });
}
