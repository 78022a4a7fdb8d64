// machine.js - the panel beside the chat: what the machine does, while the page is seen.
import { getJson, Refusal } from "./client.js";
import { byId, bytes, say } from "./dom.js";
import { drawPace, drawMap, startMap } from "./map.js";

const IDLE_MS = 1000, BUSY_MS = 400, EMPTY_MS = 3000; // between two looks; the last where no model is loaded
const PACE_LOOKS = 90;

const pace = [];   // tokens per second at the last looks
let timer = 0;     // 0: no look is coming; -1: one is under way
let owner = null;  // as startMachine() got it

function showNumbers(state) {
  const firsts = state.first_token_s;
  say("tokens-per-s", state.tokens_per_s.toFixed(1));
  say("prompt-per-s", `${state.prompt_tokens_per_s.toFixed(1)} tokens/s`);
  say("first-token", firsts.length === 0 ? "–" : `${firsts.at(-1).toFixed(2)} s`);
  say("hit-rate", state.hit_rate === null ? "–" : `${(100 * state.hit_rate).toFixed(1)} %`);
  say("disk", `${state.read_mb_per_s.toFixed(1)} MB/s`);
  say("memory", `${bytes(state.memory_bytes)} of ${bytes(state.memory_bytes_max)}`);
  byId("memory-meter").value = state.memory_bytes_max > 0 ? state.memory_bytes / state.memory_bytes_max : 0;
  say("texts", `${state.running} served, ${state.waiting} waiting`);
  pace.push(state.tokens_per_s);
  pace.splice(0, pace.length - PACE_LOOKS);
  drawPace(pace);
}

// The pause until the next look; 0: none until somebody wakes us.
async function look() {
  try {
    const state = await getJson("v1/watch");
    showNumbers(state);
    drawMap(state.experts);
    say("machine-alert", "");
    byId("machine").classList.remove("old");
    owner.heed("there");
    return state.running > 0 ? BUSY_MS : IDLE_MS;
  } catch (error) {
    byId("machine").classList.add("old");
    say("machine-alert", `No news of the machine: ${error.message}`);
    if (error instanceof Refusal && error.status === 401)
      return await owner.wantKey() ? IDLE_MS : 0;
    owner.heed(error.status === 0 ? "silent" : "empty");
    return error.status === 0 ? IDLE_MS : EMPTY_MS;
  }
}

async function goOn() {
  timer = -1;
  const pause = await look();
  timer = document.hidden || pause === 0 ? 0 : setTimeout(goOn, pause);
}

export function wakeMachine() {
  if (timer === 0)
    goOn();
}

// wantKey: asks the user for a key, and says whether there is one. heed: is told of each look that the machine is "there", that it
// is "silent", or "empty": it answers, and has no model to tell of.
export function startMachine(given) {
  owner = given;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden)
      wakeMachine();
  });
  startMap();
  goOn();
}
