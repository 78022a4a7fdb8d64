// machine.js - the panel beside the chat: what the machine does, once a second while the page is seen.
import { getJson, Refusal } from "./client.js";

const RESIDENT = 1, READING = 2, USED = 4;
const PERIOD_MS = 1000;
const byId = id => document.getElementById(id);

let before = null; // the experts of the last look
let timer = 0;

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit + 1 < units.length) {
    count /= 1024;
    unit++;
  }
  return `${count.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

function showNumbers(state) {
  const firsts = state.first_token_s;
  byId("tokens-per-s").textContent = `${state.tokens_per_s.toFixed(1)} tokens/s`;
  byId("prompt-per-s").textContent = `${state.prompt_tokens_per_s.toFixed(1)} tokens/s`;
  byId("first-token").textContent = firsts.length === 0 ? "–" : firsts.slice(-3).map(time => `${time.toFixed(2)} s`).join(", ");
  byId("hit-rate").textContent = state.hit_rate === null ? "–" : `${(100 * state.hit_rate).toFixed(1)} %`;
  byId("disk").textContent = `${state.read_mb_per_s.toFixed(1)} MB/s`;
  byId("memory").textContent = `${bytes(state.memory_bytes)} of ${bytes(state.memory_bytes_max)}`;
  byId("memory-meter").value = state.memory_bytes_max > 0 ? state.memory_bytes / state.memory_bytes_max : 0;
  byId("texts").textContent = `${state.running} written, ${state.waiting} waiting`;
}

// What of an expert is told first.
function kindOf(marks, last) {
  if (marks & READING)
    return "reading";
  if ((marks & RESIDENT) && last !== undefined && !(last & RESIDENT))
    return "fresh";
  if (marks & USED)
    return "used";
  return marks & RESIDENT ? "resident" : "disk";
}

function showMap(state) {
  const rows = state.experts.filter(row => row !== "");
  byId("map-figure").hidden = rows.length === 0;
  if (rows.length === 0)
    return;
  const canvas = byId("map");
  const width = Math.max(...rows.map(row => row.length));
  const wide = Math.max(1, Math.floor(640 / width)), high = Math.max(2, Math.min(wide, Math.floor(800 / rows.length)));
  const style = getComputedStyle(document.documentElement);
  const colors = Object.fromEntries(["disk", "resident", "used", "fresh", "reading"].map(kind => [kind, style.getPropertyValue(`--${kind}`)]));
  const counts = { total: 0, resident: 0, used: 0, fresh: 0, reading: 0 };
  if (canvas.width !== width * wide || canvas.height !== rows.length * high) {
    canvas.width = width * wide;
    canvas.height = rows.length * high;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  rows.forEach((row, layer) => {
    for (let expert = 0; expert < row.length; expert++) {
      const marks = Number(row[expert]);
      const kind = kindOf(marks, before?.[layer] === undefined ? undefined : Number(before[layer][expert]));
      counts.total++;
      counts.resident += (marks & RESIDENT) !== 0;
      counts.used += (marks & USED) !== 0;
      counts.reading += (marks & READING) !== 0;
      counts.fresh += kind === "fresh";
      context.fillStyle = colors[kind];
      context.fillRect(expert * wide, layer * high, wide > 3 ? wide - 1 : wide, high > 3 ? high - 1 : high);
    }
  });
  before = rows;
  byId("map-text").textContent = `${rows.length} layers with ${counts.total} experts in all: ${counts.resident} in memory, ` +
    `${counts.used} used by the last step, ${counts.fresh} came in since the last look, ${counts.reading} being read.`;
}

async function look(wantKey) {
  try {
    const state = await getJson("v1/watch");
    showNumbers(state);
    showMap(state);
    byId("machine-alert").textContent = "";
  } catch (error) {
    byId("machine-alert").textContent = `No news of the machine: ${error.message}`;
    if (error instanceof Refusal && error.status === 401)
      await wantKey();
  }
}

async function goOn(wantKey) {
  timer = -1; // a look is under way
  await look(wantKey);
  timer = document.hidden ? 0 : setTimeout(() => goOn(wantKey), PERIOD_MS);
}

// wantKey: asks the user for a key, and ends when there is one.
export function startMachine(wantKey) {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === 0)
      goOn(wantKey);
  });
  goOn(wantKey);
}
