#!/usr/bin/env python3
"""page.py - the page of weir serve: its files, what they may do, and what the machine tells them.

The files come with a strict policy, name nothing of elsewhere, and fit each other. /v1/watch has the shape that the page reads,
and its map of experts changes when a text is written. Where there is a node, the page's text renderer, its reader of
events and its tree of messages run in it.
"""
import html.parser
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ROOT, check, remove, scratch_folder, wait_for
from serve import Server

FOLDER = os.path.join(ROOT, "src", "serve", "page")
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
VOID = {"meta", "link", "input", "br", "hr", "img"}
KEY = "a-key-of-sixteen-characters"


class Page(html.parser.HTMLParser):
    """Ids, what labels name, what is loaded; every element is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.names, self.loads, self.fields = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.names += [name for key in ("for", "aria-labelledby", "aria-describedby", "aria-controls") for name in attributes.get(key, "").split()]
        self.loads += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag in ("input", "textarea", "select"):
            self.fields.append((tag, attributes, "label" in self.open))
        check(not [key for key in attributes if key.startswith("on") or key == "style"], f"{tag} has what the policy forbids: {attributes}")

    def handle_endtag(self, tag):
        check(self.open and self.open.pop() == tag, f"</{tag}> closes nothing that is open")


def files_part(server):
    names = sorted(os.listdir(FOLDER))
    for name in names:
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            wanted = file.read()
        path = "/" if name == "index.html" else f"/{name}"
        status, headers, text = server.ask("GET", path)
        check(status == 200 and text == wanted, f"{path}: status {status}, and other bytes than those of the tree")
        check(headers["Content-Type"].startswith(TYPES[name.rsplit(".", 1)[1]]), f"{path} is called {headers['Content-Type']}")
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        check(policy["default-src"] == "'none'" and all(value in ("'none'", "'self'") for value in policy.values()), f"{path}: {policy}")
        check({"script-src", "style-src", "connect-src", "frame-ancestors", "base-uri", "form-action"} <= set(policy), f"{path}: {policy}")
        check(headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-cache", f"{path}: {headers}")
        again, same, nothing = server.ask("GET", path, If_None_Match=headers["ETag"])
        check(again == 304 and nothing == "" and same["ETag"] == headers["ETag"], f"{path} again: {again} {nothing!r}")
        check(server.ask("GET", path, If_None_Match='"other"')[0] == 200, f"{path} with another mark")
        addresses = re.findall(r"(?:https?:)?//[a-z0-9][\w.-]*\.[a-z]+[^\s\"']*", re.sub(r"^\s*//.*$", "", wanted, flags=re.M))
        check(not [one for one in addresses if one != "http://www.w3.org/2000/svg"], f"{name} names {addresses}")
        markup = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", wanted)
        check(not markup, f"{name} makes markup or code of text")
    check(server.ask("POST", "/", {})[0] == 405 and server.ask("GET", "/index.js")[0] == 404, "what is not there")
    return names


def structure_part(names):
    page = Page()
    with open(os.path.join(FOLDER, "index.html"), encoding="utf-8") as file:
        page.feed(file.read())
    page.close()
    check(not page.open, f"never closed: {page.open}")
    check(len(page.ids) == len(set(page.ids)), "an id is there twice")
    check(set(page.names) <= set(page.ids), f"labels of nothing: {set(page.names) - set(page.ids)}")
    check(set(one for one in page.loads if not one.startswith("#")) <= set(names), f"the page loads {page.loads}")
    for tag, attributes, is_inside in page.fields:
        check(is_inside or "aria-label" in attributes or attributes.get("id") in page.names, f"a {tag} without a label: {attributes}")
    for name in (one for one in names if one.endswith(".js")):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            text = file.read()
        used = set(re.findall(r"(?:byId|say)\(\"([\w-]+)\"[,)]", text))
        check(used <= set(page.ids), f"{name} looks for {used - set(page.ids)}")
        check({one[2:] for one in re.findall(r"from \"(\./[\w.]+)\"", text)} <= set(names), f"{name} imports what is not there")


def count_used(rows):
    return sum(int(mark) >> 2 & 1 for row in rows for mark in row)


def watch_part(server):
    status, _, before = server.ask("GET", "/v1/watch")
    check(status == 200 and before["hit_rate"] is None and before["first_token_s"] == [] and before["steps"] == 0, f"at first: {before}")
    numbers = ("seconds tokens_per_s prompt_tokens_per_s read_mb_per_s running waiting steps written_tokens prompt_tokens cached_tokens "
               "expert_uses expert_hits read_bytes memory_bytes memory_bytes_max slots n_expert").split()
    check(all(isinstance(before[name], (int, float)) for name in numbers), f"numbers: {before}")
    rows = before["experts"]
    check(rows and all(re.fullmatch(r"[0-7]*", row) and len(row) in (0, before["n_expert"]) for row in rows), f"the map: {rows}")
    asked = {"messages": [{"role": "user", "content": "The old man"}], "max_tokens": 24, "temperature": 0}
    status, _, answer = server.ask("POST", "/v1/chat/completions", asked)
    check(status == 200, f"a chat: {answer}")
    count = answer["usage"]["completion_tokens"]
    after = {}

    def has_seen_all():
        """Each look asks for one that a later one shows."""
        after.update(server.ask("GET", "/v1/watch")[2])
        return count_used(after["experts"]) > 0 and after["running"] == 0 and after["memory_bytes"] > 0

    check(count_used(rows) == 0, f"used by the last step, at first: {count_used(rows)}")
    wait_for(has_seen_all, "a look at the machine after a text shows what its last step used")
    check(all(int(mark) & 1 or not int(mark) & 4 for row in after["experts"] for mark in row), "what one token used last is in memory")
    check(after["written_tokens"] >= count > 1 and after["steps"] >= count and after["expert_uses"] > 0, f"counts: {after}")
    check(len(after["first_token_s"]) == 1 and after["first_token_s"][0] > 0, f"the first token: {after['first_token_s']}")
    check(after["tokens_per_s"] > 0 and 0 <= after["hit_rate"] <= 1, f"speeds: {after}")
    check(0 < after["memory_bytes"] <= after["memory_bytes_max"] and after["running"] == after["waiting"] == 0, f"memory: {after}")


def key_part():
    folder = scratch_folder()
    try:
        keys = os.path.join(folder, "keys")
        with open(keys, "w") as file:
            file.write(KEY + "\n")
        with Server("--api-key-file", keys) as server:
            check(server.ask("GET", "/")[0] == 200 and server.ask("GET", "/page.js")[0] == 200, "the page needs no key")
            check(server.ask("GET", "/v1/watch")[0] == 401, "the machine's state without a key")
            check(server.ask("GET", "/v1/watch", Authorization=f"Bearer {KEY}")[0] == 200, "the machine's state with a key")
            check(KEY not in server.ask("GET", "/")[2], "the key is not in the page")
    finally:
        remove(folder)


SCRIPT = """
class Node {
  constructor(tag) { this.tagName = tag.toUpperCase(); this.childNodes = []; this.attributes = {}; this.className = ""; }
  append(...children) {
    for (const child of children)
      if (child instanceof Node)
        child.parent = this;
    this.childNodes.push(...children);
  }
  get lastChild() { return this.childNodes.at(-1); }
  remove() { this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1); }
  setAttribute(name, value) { this.attributes[name] = value; }
  show() {
    const href = this.attributes.href ? "=" + this.attributes.href : "";
    return `(${this.tagName.toLowerCase()}${href} ${this.childNodes.map(show).join("")})`;
  }
}
const show = node => typeof node === "string" ? node : node.show();
let madeCount = 0;
globalThis.document = { createElement: tag => { madeCount++; return new Node(tag); } };
globalThis.sessionStorage = { getItem: () => { throw new Error("the browser keeps nothing"); } };
const { drawer, render } = await import(process.argv[2] + "/markdown.mjs");
const { eventReader } = await import(process.argv[2] + "/client.mjs");
const cases = [
  ["# A *b*", "(h4 A (em b))"],
  ["<b>x</b> <script>y</script>", "(p <b>x</b> <script>y</script>)"],
  ["a `b*c*` **d** snake_case_name", "(p a (code b*c*) (strong d) snake_case_name)"],
  ["| a | b |\\n|---|--:|\\n| 1 | 2 |\\n| 3 |", "(div (table (thead (tr (th a)(th b)))(tbody (tr (td 1)(td 2))(tr (td 3)(td )))))"],
  ["```c\\nint <x>;\\n", "(div (div (span c)(button Copy))(pre (code int <x>;\\n)))"],
  ["- a\\n- b\\n  - c\\n\\n3. d", "(ul (li a)(li b(ul (li c))))(ol (li d))"],
  ["> a\\n> > b", "(blockquote (p a)(blockquote (p b)))"],
  ["[a](javascript:x) [b](https://c)", "(p (span a (javascript:x)) (a=https://c b))"],
];
for (const [text, wanted] of cases) {
  const found = render(text).map(show).join("");
  if (found !== wanted)
    console.log(`${JSON.stringify(text)}: wanted ${wanted}, found ${found}`);
}
const growing = ["one\\ntwo\\n\\n- a\\n- b\\n\\n  more\\n- c\\n\\n1. d\\n\\n| a | b |\\n|--|--|\\n| 1 | 2 |\\n\\n```js\\nlet x;\\n\\n```\\n> q\\n> r\\n\\n# h\\nend",
  "a | b\\n|-|c\\n\\n---\\n- x\\n-\\n- y\\r\\n\\r\\n**bold\\n~~~\\n```\\n~~~\\n* z\\n   * deep\\n\\n\\n\\tcode?\\n1) one\\n2) two\\n\\nThe end."];
for (const text of growing) {
  const place = new Node("div");
  const draw = drawer(place);
  for (let length = 0; length <= text.length; length++) {
    draw(text.slice(0, length));
    const found = place.childNodes.map(show).join(""), wanted = render(text.slice(0, length)).map(show).join("");
    if (found !== wanted) {
      console.log(`drawn as it grows to ${JSON.stringify(text.slice(0, length))}: wanted ${wanted}, found ${found}`);
      break;
    }
  }
  draw("other");
  if (place.childNodes.map(show).join("") !== "(p other)")
    console.log(`another text in its place: ${place.childNodes.map(show)}`);
}
const long = new Node("div"), drawLong = drawer(long), paragraphs = [];
madeCount = 0;
for (let count = 0; count < 1000; count++) {
  paragraphs.push("a paragraph");
  drawLong(paragraphs.join("\\n\\n"));
}
if (long.childNodes.length !== 1000 || madeCount > 3000)
  console.log(`a text that grows to 1000 paragraphs: ${long.childNodes.length} are there, ${madeCount} were made`);
for (const run of ["*", "[", "`", "> ", "- ", "|", "_", "~", "<h", "**a "])
  render(run.repeat(5000));
const worked = process.cpuUsage().user / 1e6;
if (worked > 60)
  console.log(`long runs of marks took ${worked} s of the processor`);
for (const end of ["\\n", "\\r\\n"]) {
  const told = [];
  const push = eventReader(data => told.push(data));
  for (const character of ["data: a", ": comment", "", "data:b", "data: c", "", "event: x", "", "data: cut"].join(end))
    push(character);
  if (JSON.stringify(told) !== '["a","b\\\\nc"]')
    console.log(`events: ${JSON.stringify(told)}`);
}

const kept = new Map();
globalThis.localStorage = { getItem: name => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value),
                            removeItem: name => kept.delete(name) };
const threads = await import(process.argv[2] + "/threads.mjs");
const thread = threads.createThread();
thread.system = "Be short";
const first = threads.addMessage(thread, null, "user", "one", [{ name: "f", text: "a ``` b" }]);
const answer = threads.addMessage(thread, first.id, "assistant", "1");
const retried = threads.addMessage(thread, first.id, "assistant", "1 again");
const edited = threads.addMessage(thread, threads.parentOf(first), "user", "two");
const texts = shown => threads.pathOf(shown).map(node => node.text).join();
const found = [texts(thread), threads.versionsOf(thread, edited).index];
threads.showVersion(thread, first);
found.push(texts(thread), threads.versionsOf(thread, answer).versions.length);
threads.showVersion(thread, answer);
threads.saveThread(thread);
const loaded = threads.loadThread(thread.id);
found.push(texts(loaded), threads.listThreads()[0].title, threads.messagesUntil(loaded, answer));
kept.set("weir.thread.odd", '{"nodes": {"a": {"id": "a", "parent": "root", "role": "user", "text": 7}, "b": 3}, "chosen": {"root": "a"}}');
kept.set("weir.thread.worse", '{"nodes": null, "chosen": {}}');
found.push(texts(threads.loadThread("odd")), threads.loadThread("worse"));
kept.delete("weir.thread.odd");
kept.delete("weir.thread.worse");
threads.deleteThread(thread.id);
found.push(kept.size, threads.listThreads().length, threads.loadThread(thread.id));
const wanted = ["two", 1, "one,1 again", 2, "one,1", "one", [{ role: "system", content: "Be short" },
  { role: "user", content: "File f:\\n````\\na ``` b\\n````\\n\\none" }], "", null, 1, 0, null];
if (JSON.stringify(found) !== JSON.stringify(wanted))
  console.log(`conversations: wanted ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`);
"""


def node_part():
    if shutil.which("node") is None:
        print("no node here: the page's renderer and its reader of events did not run")
        return
    folder = scratch_folder()
    try:
        for name in ("markdown", "client", "threads"):
            shutil.copy(os.path.join(FOLDER, f"{name}.js"), os.path.join(folder, f"{name}.mjs"))
        script = os.path.join(folder, "run.mjs")
        with open(script, "w") as file:
            file.write(SCRIPT)
        done = subprocess.run(["node", script, folder], capture_output=True, text=True)
        check(done.returncode == 0 and done.stdout == "", f"the page's scripts: {done.stdout} {done.stderr}")
    finally:
        remove(folder)


def main():
    with Server() as server:
        watch_part(server)
        names = files_part(server)
        said = server.stop()
        check(re.search(r"/v1/chat/completions 200 (stop|length) ", said) and "/v1/watch" not in said, f"looks at the machine are not logged: {said}")
    structure_part(names)
    key_part()
    node_part()
    print(f"{len(names)} files of the page, and what the machine tells it")


if __name__ == "__main__":
    main()
