// map.js - two pictures of the machine: its speed in the last minute, and where each expert is.
import { byId, say } from "./dom.js";

const RESIDENT = 1, READING = 2, USED = 4; // marks of /v1/watch
const COOLING = 0.6;                       // what a use is worth at the next look
const MAP_HIGH = 260, PACE_HIGH = 40;      // pixels of the page
const WORDS = { disk: "on disk", resident: "in memory", fresh: "just came in", reading: "being read" };

let rows = [];    // of layers that have experts: {layer, marks}
let heat = [];    // of each row: how lately its experts were used, 0 to 1
let kinds = [];   // of each row: what of an expert is told
let columns = []; // where each expert begins, in the canvas, and where the last one ends
let high = 1;     // of a row
let pace = [];    // tokens per second at the last looks

// ---- colors --------------------------------------------------------------------------------

function colorsNow() {
  const style = getComputedStyle(document.documentElement);
  const read = name => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["disk", "resident", "used", "fresh", "reading", "accent"].map(name => [name, read(name)]));
}

// share 0: from, 1: to; both as #rrggbb.
function mix(from, to, share) {
  const at = (color, place) => parseInt(color.slice(place, place + 2), 16);
  const one = place => Math.round(at(from, place) + share * (at(to, place) - at(from, place)));
  return `rgb(${one(1)}, ${one(3)}, ${one(5)})`;
}

// ---- speed ---------------------------------------------------------------------------------

export function drawPace(values = pace) {
  const canvas = byId("pace");
  const scale = devicePixelRatio;
  const wide = Math.max(1, Math.round(canvas.clientWidth * scale)), high = Math.round(PACE_HIGH * scale);
  const most = Math.max(1, ...values);
  const context = canvas.getContext("2d");
  const step = wide / Math.max(1, values.length - 1);
  const { accent } = colorsNow();
  pace = values;
  canvas.width = wide;
  canvas.height = high;
  context.beginPath();
  context.moveTo(0, high);
  values.forEach((value, index) => context.lineTo(index * step, high - (high - 2 * scale) * value / most));
  context.lineTo(wide, high);
  context.fillStyle = accent;
  context.globalAlpha = 0.25;
  context.fill();
}

// ---- experts -------------------------------------------------------------------------------

function kindOf(marks, last) {
  if (marks & READING)
    return "reading";
  if ((marks & RESIDENT) && last !== undefined && !(last & RESIDENT))
    return "fresh";
  return marks & RESIDENT ? "resident" : "disk";
}

// Squares where there is room, and no map that is higher than it need be. Wide squares fill the room to the last pixel;
// of narrow ones all have the same width, or the eye would see stripes.
function fitCanvas(canvas) {
  const most = Math.max(...rows.map(row => row.marks.length));
  const room = Math.max(1, Math.round(byId("map-figure").clientWidth * devicePixelRatio));
  const even = Math.max(1, Math.floor(room / most));
  const wide = even < 6 ? even * most : room;
  const least = Math.max(even, Math.round(4 * devicePixelRatio));
  high = Math.max(2, Math.min(least, Math.floor(MAP_HIGH * devicePixelRatio / rows.length)));
  columns = Array.from({ length: most + 1 }, (_, expert) => Math.round(expert * wide / most));
  if (canvas.width === wide && canvas.height === high * rows.length)
    return;
  canvas.width = wide;
  canvas.height = high * rows.length;
  canvas.style.width = `${Math.min(wide, room) / devicePixelRatio}px`;
}

function paint(canvas) {
  fitCanvas(canvas);
  const context = canvas.getContext("2d");
  const colors = colorsNow();
  const gapWide = columns[1] > 3 ? 1 : 0, gapHigh = high > 3 ? 1 : 0;
  context.clearRect(0, 0, canvas.width, canvas.height);
  rows.forEach(({ marks }, row) => {
    for (let expert = 0; expert < marks.length; expert++) {
      const base = colors[kinds[row][expert]];
      const isPlain = heat[row][expert] < 0.05 || kinds[row][expert] !== "resident";
      context.fillStyle = isPlain ? base : mix(base, colors.used, heat[row][expert]);
      context.fillRect(columns[expert], row * high, columns[expert + 1] - columns[expert] - gapWide, high - gapHigh);
    }
  });
}

function showCounts() {
  const counts = { used: 0, resident: 0, fresh: 0, reading: 0, disk: 0 };
  let total = 0;
  rows.forEach(({ marks }, row) => {
    for (let expert = 0; expert < marks.length; expert++) {
      counts.used += (marks[expert] & USED) !== 0;
      counts.resident += (marks[expert] & RESIDENT) !== 0;
      counts.fresh += kinds[row][expert] === "fresh";
      counts.reading += kinds[row][expert] === "reading";
      counts.disk += kinds[row][expert] === "disk";
      total++;
    }
  });
  for (const [kind, count] of Object.entries(counts))
    say(`count-${kind}`, String(count));
  say("map-axes", `${rows.length} layers, one a row; ${Math.max(...rows.map(row => row.marks.length))} in each`);
  say("map-text", `${rows.length} layers with ${total} experts in all: ${counts.resident} in memory, ${counts.used} used by the last ` +
      `step, ${counts.fresh} came in since the last look, ${counts.reading} being read.`);
}

// experts: a string for each layer, a digit for each expert.
export function drawMap(experts) {
  const next = experts.map((text, layer) => ({ layer, marks: Uint8Array.from(text, Number) })).filter(row => row.marks.length > 0);
  const isKnown = next.length === rows.length && next.every((row, index) => row.marks.length === rows[index].marks.length);
  kinds = next.map((row, index) => Array.from(row.marks, (marks, expert) => kindOf(marks, isKnown ? rows[index].marks[expert] : undefined)));
  heat = next.map((row, index) => Float32Array.from(row.marks, (marks, expert) =>
    marks & USED ? 1 : isKnown ? COOLING * heat[index][expert] : 0));
  rows = next;
  byId("map-figure").hidden = rows.length === 0;
  if (rows.length === 0)
    return;
  paint(byId("map"));
  showCounts();
}

// The panel has another width, or is shown only now.
function drawAgain() {
  drawPace();
  if (rows.length > 0)
    paint(byId("map"));
}

export function startMap() {
  const canvas = byId("map");
  const usual = byId("map-point").textContent;
  canvas.addEventListener("pointermove", event => {
    const at = event.offsetX / canvas.clientWidth * canvas.width;
    const expert = columns.findIndex(begin => begin > at) - 1;
    const row = Math.floor(event.offsetY / canvas.clientHeight * canvas.height / high);
    if (rows[row]?.marks[expert] === undefined)
      return;
    const isUsed = (rows[row].marks[expert] & USED) !== 0;
    say("map-point", `Layer ${rows[row].layer}, expert ${expert}: ${isUsed ? "used now" : WORDS[kinds[row][expert]]}`);
  });
  new ResizeObserver(drawAgain).observe(byId("machine"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
  canvas.addEventListener("pointerleave", () => say("map-point", usual));
}
