// page.js - the chat: conversations, answers, the key, and what the keyboard does.
import { endReasoning, getJson, hasKey, Refusal, setKey, streamChat } from "./client.js";
import { byId, bytes, complain, make, say, tell } from "./dom.js";
import { hasFiles, startFiles, takeFiles } from "./files.js";
import { startMachine, wakeMachine } from "./machine.js";
import { draw, follow, showMessages, startMessages } from "./messages.js";
import { readSettings, showSystem, startSettings } from "./settings.js";
import { addMessage, createThread, deleteThread, listThreads, loadThread, messagesUntil, parentOf, pathOf, saveThread, showVersion,
         watchThreads } from "./threads.js";
import { inspect, recordEvent, recordRequest, startTokens } from "./tokens.js";

const DRAW_MS = 60;    // between two drawings of an answer that is being written, at least ...
const DRAW_SHARE = 4;  // ... and so many times what the last one took
const CUT = "The page was left before this answer was whole.";
const MODEL = "weir.model";
const IDEAS = ["Tell a story of a lighthouse and its keeper", "Explain what an expert is in a Mixture-of-Experts model",
               "Make a table of three rivers with their lengths"];

let thread = createThread();
let running = null;       // {node, abort, id} of the answer that is being written; id: as the server calls it
let models = [];          // names of those that the server has
let modelName = "Model";
let machineIs = "there";  // as startMachine() tells it
let keyWaiters = [];
let isLeft = false;       // the user went to another page: the browser ends what is under way
let isKeyGiven = false;   // in the dialog that is open

// ---- the key ------------------------------------------------------------------------------

// Whether there is a new one; the user may not want to give it.
function wantKey() {
  const dialog = byId("key-dialog");
  say("key-title", hasKey() ? "This server does not know the key" : "This server wants a key");
  if (!dialog.open)
    dialog.showModal();
  return new Promise(resolve => keyWaiters.push(resolve));
}

function startKey() {
  const dialog = byId("key-dialog");
  byId("key-form").addEventListener("submit", event => {
    event.preventDefault();
    setKey(byId("key").value.trim());
    isKeyGiven = true;
    dialog.close();
  });
  byId("no-key").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    const isGiven = isKeyGiven;
    byId("key").value = "";
    byId("give-key").hidden = isGiven;
    isKeyGiven = false;
    for (const resolve of keyWaiters.splice(0))
      resolve(isGiven);
    if (!isGiven)
      return;
    showModel().then(isKnown => isKnown && byId("text").focus());
    wakeMachine();
  });
  byId("give-key").addEventListener("click", wantKey);
}

// ---- conversations ------------------------------------------------------------------------

function save(one) {
  try {
    if (Object.keys(one.nodes).length > 0 || one.system !== "")
      saveThread(one);
  } catch (error) {
    complain(`This conversation cannot be kept in this browser: ${error.message} Delete one that is not needed any more.`);
  }
  showThreads();
}

function threadItem(entry) {
  const item = make("li");
  const open = make("button", entry.title || "Without a title", "thread");
  const remove = make("button", "×", "quiet");
  open.type = remove.type = "button";
  open.title = entry.title;
  if (entry.id === thread.id)
    open.setAttribute("aria-current", "true");
  remove.setAttribute("aria-label", `Delete ${entry.title || "this conversation"}`);
  open.addEventListener("click", () => {
    openThread(loadThread(entry.id) ?? createThread());
    hidePanels();
    byId("text").focus();
  });
  remove.addEventListener("click", () => removeThread(entry));
  item.append(open, remove);
  return item;
}

function showThreads() {
  const at = [...byId("threads").querySelectorAll("button")].indexOf(document.activeElement);
  byId("threads").replaceChildren(...listThreads().map(threadItem));
  byId("threads").querySelectorAll("button")[at]?.focus();
}

function show() {
  showMessages(thread, running?.node ?? null, modelName);
}

function openThread(opened) {
  stop();
  thread = opened;
  showSystem(thread.system);
  showThreads();
  complain("");
  show();
}

function newestThread() {
  const newest = listThreads()[0];
  return (newest && loadThread(newest.id)) || createThread();
}

function removeThread(entry) {
  if (!confirm(`Delete the conversation "${entry.title}" with all its branches?`))
    return;
  const isShown = entry.id === thread.id;
  if (isShown)
    stop();
  try {
    deleteThread(entry.id);
  } catch (error) {
    complain(`It cannot be deleted: ${error.message}`);
  }
  if (isShown)
    openThread(newestThread());
  showThreads();
  byId("new-thread").focus();
}

function startThreads() {
  byId("new-thread").addEventListener("click", () => {
    openThread(createThread());
    hidePanels();
    byId("text").focus();
  });
  // Another tab wrote: what it has is newer, unless an answer is coming in here.
  watchThreads(id => {
    if (id === thread.id && running === null) {
      thread = loadThread(id) ?? createThread();
      showSystem(thread.system);
      show();
    }
    showThreads();
  });
  addEventListener("pagehide", () => {
    isLeft = true;
    if (running !== null)
      save(thread);
  });
  addEventListener("pageshow", () => isLeft = false);
}

// ---- answers ------------------------------------------------------------------------------

function stop() {
  running?.abort.abort();
}

function setRunning(now) {
  running = now;
  say("send", now === null ? "Send" : "Stop");
  byId("send").classList.toggle("stop", now !== null);
}

function take(node, chunk, times) {
  const choice = chunk.choices?.[0];
  const text = choice?.delta?.content ?? "", thought = choice?.delta?.reasoning_content ?? "";
  node.text += text;
  node.reasoning += thought;
  node.progress = chunk.prompt_progress ?? node.progress;
  if (times.first === 0 && text + thought !== "")
    times.first = performance.now();
  times.end = choice?.finish_reason ?? times.end;
  return chunk.usage;
}

function statsOf(usage, times) {
  const count = usage.completion_tokens, cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const seconds = (performance.now() - times.first) / 1000;
  const parts = [`${count} tokens`];
  if (times.first > 0 && count > 1 && seconds > 0)
    parts.push(`${((count - 1) / seconds).toFixed(1)} tokens/s`);
  if (times.first > 0)
    parts.push(`first after ${((times.first - times.begin) / 1000).toFixed(2)} s`);
  parts.push(`${usage.prompt_tokens} before them${cached > 0 ? `, ${cached} of these known` : ""}`);
  return parts.join(" · ");
}

// Calls a function soon, and seldom enough that the page can do other things too.
function painter(paint) {
  let timer = 0, pause = DRAW_MS;
  const run = () => {
    const begin = performance.now();
    timer = 0;
    paint();
    pause = Math.max(DRAW_MS, DRAW_SHARE * (performance.now() - begin));
  };
  return { want: () => timer ||= setTimeout(run, pause), cancel: () => clearTimeout(timer) };
}

async function write(node, body, signal) {
  const times = { begin: performance.now(), first: 0, end: "" };
  const paint = painter(() => {
    draw(node);
    follow();
  });
  const clock = setInterval(paint.want, 1000);
  let usage = null;
  node.since = times.begin;
  recordRequest(node, body);
  try {
    await streamChat(body, signal, (chunk, data) => {
      recordEvent(node, chunk, data);
      if (running?.node === node)
        running.id = chunk.id;
      usage = take(node, chunk, times) ?? usage;
      paint.want();
    });
    node.note = times.end === "length" ? "It ends here because the most tokens were written." : "";
    if (node.text === "" && node.note === "")
      node.note = "The model ended without a word.";
    node.stats = usage === null ? "" : statsOf(usage, times);
  } finally {
    clearInterval(clock);
    paint.cancel();
    delete node.since;
    delete node.progress;
  }
}

// What a screen reader reads; gone again before somebody finds the same text twice.
function speak(text) {
  byId("spoken").textContent = text;
  setTimeout(() => byId("spoken").textContent = "", 5000);
}

// What is asked for an answer.
function requestFor(owner, node, settings) {
  const which = models.length > 1 ? { model: modelName } : {};
  return { ...which, ...settings, messages: messagesUntil(owner, node) };
}

// Writes a new answer to a message of the user's.
async function answer(question) {
  const settings = readSettings();
  stop();
  if (settings === null) {
    save(thread);
    show();
    return;
  }
  complain("");
  const node = addMessage(thread, question.id, "assistant", "");
  const mine = { node, abort: new AbortController(), id: "" };
  const owner = thread;
  node.model = modelName;
  node.note = CUT; // until it is whole: what is saved in between says so
  setRunning(mine);
  save(owner);
  show();
  follow(true);
  tell("The answer is being written.");
  try {
    await write(node, requestFor(owner, node, settings), mine.abort.signal);
    tell("The answer is whole.");
    speak(node.text);
  } catch (error) {
    heedFailure(node, error);
  }
  if (running === mine)
    setRunning(null);
  if (owner === thread || listThreads().some(entry => entry.id === owner.id))
    save(owner); // else it was deleted
  show();
  if (models.length > 1)
    showModel(); // which one is here may have changed
}

// The user has seen enough of what it thinks.
async function answerNow() {
  if (running === null)
    return;
  try {
    await endReasoning(running.id);
  } catch (error) {
    complain(`The reasoning goes on: ${error.message}`);
  }
}

function heedFailure(node, error) {
  if (isLeft)
    return; // the note says so already
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
    wantKey();
}

function send() {
  const text = byId("text").value;
  if (text.trim() === "" && !hasFiles()) {
    byId("text").focus();
    return;
  }
  const path = pathOf(thread);
  const question = addMessage(thread, path.at(-1)?.id ?? null, "user", text, takeFiles());
  byId("text").value = "";
  fitField();
  answer(question);
}

// Where the browser does not let a field grow by itself.
function fitField() {
  const field = byId("text");
  if (CSS.supports("field-sizing", "content"))
    return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

function startSending() {
  const isTouched = matchMedia("(pointer: coarse)");
  byId("send-form").addEventListener("submit", event => {
    event.preventDefault();
    if (running === null)
      send();
    else
      stop();
  });
  byId("text").addEventListener("input", fitField);
  byId("text").addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouched.matches)
      return;
    event.preventDefault();
    if (running === null)
      send();
    else
      tell("An answer is being written. Escape stops it.");
  });
}

// ---- panels that a narrow page hides ------------------------------------------------------

const PANELS = [["show-side", "side"], ["show-machine", "machine"]];

function showPanel(shownId) {
  for (const [opener, id] of PANELS) {
    byId(id).classList.toggle("shown", id === shownId);
    byId(opener).setAttribute("aria-expanded", String(id === shownId));
  }
}

function hidePanels() {
  showPanel(null);
}

function startPanels() {
  for (const [opener, id] of PANELS)
    byId(opener).addEventListener("click", () => showPanel(byId(id).classList.contains("shown") ? null : id));
  document.addEventListener("keydown", event => {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]"))
      return;
    const open = PANELS.find(([, id]) => byId(id).classList.contains("shown"));
    if (open) {
      hidePanels();
      byId(open[0]).focus();
    } else {
      stop();
    }
  });
}

// ---- the beginning ------------------------------------------------------------------------

// Of several models the user chooses one, and finds it chosen the next time.
function showModels(list) {
  const kept = readName();
  models = list.map(model => model.id);
  modelName = models.includes(kept) ? kept : (list.find(model => model.loaded) ?? list[0]).id;
  byId("models").hidden = models.length < 2;
  byId("models").replaceChildren(...models.map(name => {
    const option = make("option", name);
    option.selected = name === modelName;
    return option;
  }));
  document.title = `${modelName} – weir`;
  say("greeting", `Ask ${modelName} something.`);
}

function readName() {
  try {
    return localStorage.getItem(MODEL);
  } catch {
    return null; // the browser keeps nothing
  }
}

function keepName(name) {
  modelName = name;
  say("greeting", `Ask ${modelName} something.`);
  try {
    localStorage.setItem(MODEL, name);
  } catch (error) {
    complain(`The choice of a model cannot be kept in this browser: ${error.message}`);
  }
}

function describe(props) {
  const name = models.length > 1 ? "" : `${props.model} · `;
  say("model", `${name}${props.family} · ${props.n_ctx.toLocaleString("en")} tokens`);
  say("about", `It runs on this server, in at most ${bytes(props.budget_bytes)} of memory.`);
}

// Whether the server said which models it has.
async function showModel() {
  try {
    showModels((await getJson("v1/models")).data);
    show();
    describe(await getJson("props"));
    return true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 401)
      wantKey(); // comes back here with a key
    if (error instanceof Refusal && error.status === 503)
      say("model", "The next question loads it.");
    return error.status === 503;
  }
}

function heedMachine(now) {
  const isBack = now === "there" && machineIs !== "there";
  machineIs = now;
  say("offline", now === "silent" ? "The server does not answer. This page looks for it again every second." : "");
  if (isBack)
    showModel();
}

function showIdeas() {
  byId("ideas").replaceChildren(...IDEAS.map(idea => {
    const item = make("li"), pick = make("button", idea, "idea");
    pick.type = "button";
    pick.addEventListener("click", () => {
      byId("text").value = idea;
      fitField();
      byId("text").focus();
    });
    item.append(pick);
    return item;
  }));
}

startKey();
startSettings(system => {
  thread.system = system;
  save(thread);
});
startFiles();
startMessages({
  edit: (node, text) => answer(addMessage(thread, parentOf(node), "user", text, node.files)),
  retry: node => answer(thread.nodes[parentOf(node)]),
  answer,
  answerNow,
  inspect: node => inspect(node, requestFor(thread, node, readSettings() ?? {})),
  show: node => {
    stop();
    showVersion(thread, node);
    save(thread);
    show();
  },
});
startThreads();
startTokens();
byId("models").addEventListener("change", event => keepName(event.target.value));
startSending();
startPanels();
showIdeas();
openThread(newestThread());
showModel();
startMachine({ wantKey, heed: heedMachine });
