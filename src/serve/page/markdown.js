// markdown.js - a model's text as nodes of a page. Text only ever becomes text nodes: nothing that a model writes is markup.

const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const DEEPEST = 12; // of quotes and lists in each other

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

// ---- inside a line ------------------------------------------------------------------------

const SPANS = [
  [/^(`+)([^`]|[^`][^]*?[^`])\1(?!`)/, found => element("code", found[2].trim() || found[2])],
  [/^\\([!-/:-@[-`{-~])/, found => found[1]],
  [/^!?\[([^\]\n]*)\]\(\s*<?([^\s)>]+)>?[^)\n]*\)/, (found, depth) => link(found[2], inline(found[1], depth))],
  [/^<(https?:\/\/[^\s<>]+)>/, found => link(found[1], [found[1]])],
  [/^https?:\/\/[^\s<>()"']*[^\s<>()"'.,;:!?*_`]/, found => link(found[0], [found[0]])],
  [/^(\*\*|__)(?=\S)([^\n]*?\S)\1/, (found, depth) => element("strong", ...inline(found[2], depth))],
  [/^~~(?=\S)([^\n]*?\S)~~/, (found, depth) => element("del", ...inline(found[1], depth))],
  [/^\*(?=[^\s*])([^*\n]*[^\s*])\*/, (found, depth) => element("em", ...inline(found[1], depth))],
  [/^_(?=[^\s_])([^_\n]*[^\s_])_(?!\w)/, (found, depth) => element("em", ...inline(found[1], depth))],
];

// Only what leads to a page or a mailbox is a link; a picture from elsewhere is one too, and is not fetched.
function link(address, children) {
  if (!/^(https?:\/\/|mailto:)/i.test(address))
    return element("span", ...children, ` (${address})`);
  const made = element("a", ...children);
  made.setAttribute("href", address);
  made.setAttribute("rel", "noopener noreferrer nofollow");
  made.setAttribute("target", "_blank");
  return made;
}

function inline(text, depth = 0) {
  const nodes = [];
  let plain = "", at = 0;
  while (at < text.length) {
    const isInWord = text[at] === "_" && at > 0 && /\w/.test(text[at - 1]);
    let found = null;
    if (depth < DEEPEST && !isInWord && "`\\![<h*_~".includes(text[at])) {
      const rest = text.slice(at, at + 4096);
      for (const [pattern, make] of SPANS) {
        found = pattern.exec(rest);
        if (found) {
          if (plain !== "")
            nodes.push(plain);
          plain = "";
          nodes.push(make(found, depth + 1));
          at += found[0].length;
          break;
        }
      }
    }
    if (!found)
      plain += text[at++];
  }
  if (plain !== "")
    nodes.push(plain);
  return nodes;
}

// ---- tables -------------------------------------------------------------------------------

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map(cell => cell.trim().replace(/\\\|/g, "|"));
}

function alignments(line) {
  if (line === undefined || !line.includes("-") || !/^[\s|:-]+$/.test(line))
    return null;
  const marks = cells(line);
  return marks.every(mark => /^:?-+:?$/.test(mark)) ? marks : null;
}

function row(line, tag, marks) {
  const made = element("tr");
  const texts = cells(line);
  marks.forEach((mark, index) => {
    const cell = element(tag, ...inline(texts[index] ?? ""));
    if (tag === "th")
      cell.setAttribute("scope", "col");
    if (mark.endsWith(":"))
      cell.className = mark.startsWith(":") ? "center" : "right";
    made.append(cell);
  });
  return made;
}

function table(lines, at, marks) {
  const body = element("tbody");
  const made = element("div", element("table", element("thead", row(lines[at], "th", marks)), body));
  made.className = "table";
  made.setAttribute("tabindex", "0"); // a wide one is scrolled by keys too
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", "Table");
  at += 2;
  while (at < lines.length && lines[at].includes("|") && lines[at].trim() !== "")
    body.append(row(lines[at++], "td", marks));
  return [made, at];
}

// ---- blocks -------------------------------------------------------------------------------

// An open fence goes on to the end: that is how code looks while it is being written. What the button does is the page's affair.
function code(lines, at, fence) {
  const body = [];
  at++;
  while (at < lines.length && !(lines[at].trim().startsWith(fence[1]) && /^[`~]+$/.test(lines[at].trim())))
    body.push(lines[at++]);
  const language = fence[2].trim().split(/\s/)[0].slice(0, 40);
  const text = element("pre", element("code", body.join("\n")));
  text.setAttribute("tabindex", "0");
  text.setAttribute("role", "group");
  text.setAttribute("aria-label", language === "" ? "Code" : `Code, ${language}`);
  const copy = element("button", "Copy");
  copy.setAttribute("type", "button");
  copy.setAttribute("aria-label", "Copy this code");
  copy.className = "copy-code";
  const made = element("div", element("div", element("span", language), copy), text);
  made.className = "code";
  return [made, at + 1];
}

function quote(lines, at, depth) {
  const body = [];
  while (at < lines.length && /^ {0,3}>/.test(lines[at]))
    body.push(lines[at++].replace(/^ {0,3}> ?/, ""));
  return [element("blockquote", ...blocks(body, depth + 1)), at];
}

// Lines that are indented further than an item's mark belong to it.
function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(first[2]);
  const made = element(isOrdered ? "ol" : "ul");
  if (isOrdered && parseInt(first[2], 10) !== 1)
    made.setAttribute("start", String(parseInt(first[2], 10)));
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found || found[1].length < first[1].length || /\d/.test(found[2]) !== isOrdered)
      break;
    const indent = found[1].length;
    const body = [found[3]];
    at++;
    while (at < lines.length) {
      const isBlank = lines[at].trim() === "";
      const inside = lines[at].search(/\S/) > indent;
      const follows = isBlank && at + 1 < lines.length && lines[at + 1].search(/\S/) > indent;
      if (!inside && !follows)
        break;
      body.push(lines[at++].slice(Math.min(indent + 2, Math.max(lines[at - 1].search(/\S/), 0))));
    }
    while (at + 1 < lines.length && lines[at].trim() === "" && ITEM.test(lines[at + 1]))
      at++;
    const inner = blocks(body, depth + 1);
    made.append(element("li", ...(inner.length > 0 && inner[0].tagName === "P" ? [...inner[0].childNodes, ...inner.slice(1)] : inner)));
  }
  return [made, at];
}

function startsBlock(lines, at) {
  return lines[at].trim() === "" || FENCE.test(lines[at]) || HEADING.test(lines[at]) || RULE.test(lines[at]) ||
         /^ {0,3}>/.test(lines[at]) || ITEM.test(lines[at]) || (lines[at].includes("|") && alignments(lines[at + 1]) !== null);
}

function paragraph(lines, at) {
  const made = element("p");
  const body = [lines[at++]];
  while (at < lines.length && !startsBlock(lines, at))
    body.push(lines[at++]);
  body.forEach((line, index) => {
    if (index > 0)
      made.append(/ {2}$|\\$/.test(body[index - 1]) ? element("br") : "\n");
    made.append(...inline(line.replace(/\\$/, "").trim()));
  });
  return [made, at];
}

// starts: the index of each block's first line is added to it.
function blocks(lines, depth, starts = []) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const fence = FENCE.exec(lines[at]);
    const heading = HEADING.exec(lines[at]);
    const marks = lines[at].includes("|") ? alignments(lines[at + 1]) : null;
    let made = null;
    if (lines[at].trim() === "") {
      at++;
      continue;
    }
    starts.push(at);
    if (fence)
      [made, at] = code(lines, at, fence);
    else if (heading) // below the page's own headings
      [made, at] = [element(`h${Math.min(heading[1].length + 3, 6)}`, ...inline(heading[2])), at + 1];
    else if (RULE.test(lines[at]))
      [made, at] = [element("hr"), at + 1];
    else if (depth < DEEPEST && /^ {0,3}>/.test(lines[at]))
      [made, at] = quote(lines, at, depth);
    else if (depth < DEEPEST && ITEM.test(lines[at]))
      [made, at] = list(lines, at, depth);
    else if (marks)
      [made, at] = table(lines, at, marks);
    else
      [made, at] = paragraph(lines, at);
    nodes.push(made);
  }
  return nodes;
}

const clean = line => line.replace(/\r$/, "").replace(/\t/g, "    ");

export function render(text) {
  return blocks(text.split("\n").map(clean), 0);
}

// Draws a text into a place, again and again while it grows. A block that has two others behind it can no longer change, so
// only what comes after it is read and made anew: a long answer costs no more per token than a short one, and what a reader
// has selected in it stays selected.
export function drawer(place) {
  let drawn = "";
  const offsets = []; // in the text, of the blocks that are in place; an element each
  return text => {
    if (text === drawn)
      return;
    const kept = text.startsWith(drawn) ? Math.max(0, offsets.length - 2) : 0;
    const lines = text.slice(kept === 0 ? 0 : offsets[kept]).split("\n");
    const starts = [];
    const nodes = blocks(lines.map(clean), 0, starts);
    let offset = kept === 0 ? 0 : offsets[kept];
    while (place.childNodes.length > kept)
      place.lastChild.remove();
    place.append(...nodes);
    offsets.length = kept;
    lines.forEach((line, index) => {
      if (index === starts[offsets.length - kept])
        offsets.push(offset);
      offset += line.length + 1;
    });
    drawn = text;
  };
}
