// tokens.js - what a text is to a model: its tokens; and of an answer the prompt, the request, the events, the alternatives.
import { chatBody, postJson } from "./client.js";
import { byId, copy, make, say } from "./dom.js";

const SHOWN_MAX = 2000;        // tokens of a list: a browser draws no more than that at once
const EVENT_CHARACTERS_MAX = 200000;
const KEPT_MAX = 20;           // answers of this tab
const PAUSE_MS = 200;          // behind the last key, before a text is looked at

const records = new Map();     // by a message's id: what was asked, and what came

// ---- what came -----------------------------------------------------------------------------

// The body of the request for an answer, before its first event. It is kept until the tab is closed, for the newest answers.
export function recordRequest(node, body) {
  records.delete(node.id);
  records.set(node.id, { body, events: [], characters: 0, left: 0, written: [] });
  if (records.size > KEPT_MAX)
    records.delete(records.keys().next().value);
}

export function recordEvent(node, chunk, data) {
  const record = records.get(node.id);
  if (record === undefined)
    return;
  record.written.push(...chunk.choices?.[0]?.logprobs?.content ?? []);
  record.characters += data.length;
  if (record.characters <= EVENT_CHARACTERS_MAX)
    record.events.push(data);
  else
    record.left++;
}

// ---- tokens --------------------------------------------------------------------------------

// What is not seen is shown; a piece that is no text by itself is its bytes.
function shown(piece) {
  if (Array.isArray(piece))
    return piece.map(byte => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  return piece.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll("\r", "␍");
}

function showTokens(list, tokens) {
  const items = tokens.slice(0, SHOWN_MAX).map(token => {
    const item = make("li");
    item.append(make("span", shown(token.piece), "piece"), make("span", ` ${token.id}`, "id"));
    return item;
  });
  if (tokens.length > SHOWN_MAX)
    items.push(make("li", `and ${tokens.length - SHOWN_MAX} more`));
  byId(list).replaceChildren(...items);
}

// Spaces that no line breaks at: a token stays beside its chance.
const percent = logprob => `${(100 * Math.exp(logprob)).toFixed(1)}\u00a0%`;

function writtenRow(token) {
  const row = make("tr");
  const others = token.top_logprobs.map(one => `${shown(one.token)}\u00a0${percent(one.logprob)}`);
  const name = make("th", shown(token.token));
  name.scope = "row";
  row.append(name, make("td", percent(token.logprob), "right"), make("td", others.join("   ")));
  return row;
}

// ---- of a text -----------------------------------------------------------------------------

let looking = null; // the request that is under way

async function lookAtText() {
  looking?.abort();
  const mine = looking = new AbortController();
  const content = byId("tokens-text").value;
  try {
    const asked = { content, parse_special: byId("tokens-special").checked, with_pieces: true };
    const told = await postJson("tokenize", asked, mine.signal);
    showTokens("tokens-list", told.tokens);
    say("tokens-count", `${told.count} tokens of ${[...content].length} characters`);
  } catch (error) {
    if (error.name !== "AbortError")
      say("tokens-count", `They cannot be told: ${error.message}`);
  }
}

// ---- of an answer --------------------------------------------------------------------------

function curl(body) {
  const text = JSON.stringify(body, null, 1).replaceAll("'", "'\\''");
  return `curl -N '${location.origin}/v1/chat/completions' -H 'Content-Type: application/json' -H "Authorization: Bearer $KEY" -d '${text}'`;
}

let inspected = null; // the body that is shown

// body: what would be asked now, for an answer of which nothing is kept.
export async function inspect(node, body) {
  const record = records.get(node.id);
  const written = record?.written ?? [];
  const mine = inspected = chatBody(record?.body ?? body);
  say("inspector-alert", "");
  say("inspector-prompt", "");
  say("inspector-count", "");
  byId("inspector-tokens").replaceChildren();
  byId("inspector-rows").replaceChildren(...written.slice(0, SHOWN_MAX).map(writtenRow));
  byId("inspector-frame").hidden = written.length === 0;
  say("inspector-written", written.length === 0 ? "" : `(${written.length})`);
  say("inspector-hint", written.length === 0
    ? "Choose how many alternatives are asked for in the settings: answers that are written from then on have them."
    : "The chance is the model's own, before temperature and what else is set.");
  say("inspector-body", JSON.stringify(inspected, null, 2));
  say("inspector-event-count", record === undefined ? "" : `(${record.events.length + record.left})`);
  say("inspector-events", record === undefined ? "They are kept until the page is left." :
    record.events.join("\n") + (record.left > 0 ? `\nand ${record.left} more` : ""));
  byId("inspector").showModal();
  try {
    const told = await postJson("apply-template", inspected);
    if (mine !== inspected)
      return;
    say("inspector-prompt", told.prompt);
    say("inspector-count", `(${told.count})`);
    showTokens("inspector-tokens", told.tokens);
  } catch (error) {
    say("inspector-alert", `The prompt cannot be told: ${error.message}`);
  }
}

export function startTokens() {
  let timer = 0;
  byId("show-tokens").addEventListener("click", () => {
    if (byId("text").value !== "")
      byId("tokens-text").value = byId("text").value;
    byId("tokens").showModal();
    lookAtText();
  });
  byId("tokens-text").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(lookAtText, PAUSE_MS);
  });
  byId("tokens-special").addEventListener("change", lookAtText);
  byId("close-tokens").addEventListener("click", () => byId("tokens").close());
  byId("close-inspector").addEventListener("click", () => byId("inspector").close());
  byId("copy-body").addEventListener("click", event => copy(JSON.stringify(inspected), event.currentTarget));
  byId("copy-curl").addEventListener("click", event => copy(curl(inspected), event.currentTarget));
}
