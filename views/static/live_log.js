// Rows are kept by the id of their line. A reader at the end is taken along; one who has scrolled up stays at the
// line they read, and nothing above it goes away meanwhile.
const AT_END_PX = 24;
const MOST_ROWS = 5000;

function written(seconds, text) {
  const iso = new Date(1000 * seconds).toISOString();
  return text ? iso.slice(11, 19) : `${iso.slice(0, 10)} ${iso.slice(11, 23)} UTC`;
}

function addMarked(place, text, words) {
  const [within, wanted] = [text.toLowerCase(), words.toLowerCase()];
  // Of a few letters the small one is longer: then no place in it would be one in the text.
  if (!wanted || within.length !== text.length) return place.append(text);
  let start = 0;
  for (let at = within.indexOf(wanted); at >= 0; at = within.indexOf(wanted, start)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + wanted.length);
    place.append(text.slice(start, at), mark);
    start = at + wanted.length;
  }
  place.append(text.slice(start));
}

function makeRow([, seconds, text], words) {
  const row = document.createElement("div");
  row.className = "wattle-log-line";
  const time = row.appendChild(document.createElement("time"));
  time.textContent = written(seconds, true);
  time.title = written(seconds, false);
  addMarked(row.appendChild(document.createElement("span")), text, words);
  return row;
}

// Put the rows of the lines behind those that are to stay; what lies between the two would be a gap.
function mergeRows(state, lines, words, isReading) {
  const old = state.rows;
  const isContinued = lines.some(([id]) => old.has(id));
  const rows = new Map();
  if (isReading && isContinued) {
    for (const [id, row] of old) {
      if (id === lines[0][0]) break;
      rows.set(id, row);
    }
    // The first of the lines may be older than all that was drawn.
    if (!old.has(lines[0][0])) rows.clear();
    for (const id of [...rows.keys()].slice(0, Math.max(0, rows.size + lines.length - MOST_ROWS))) rows.delete(id);
  }
  for (const line of lines) rows.set(line[0], old.get(line[0]) ?? makeRow(line, words));
  return rows;
}

function firstVisible(box) {
  for (const row of box.children) {
    if (row.offsetTop + row.offsetHeight > box.scrollTop) return row;
  }
  return null;
}

function isAtEnd(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight <= AT_END_PX;
}

function toEnd(box) {
  box.scrollTop = box.scrollHeight;
}

function draw(root, { lines, view, words }) {
  const { box, button, state } = root.wattleLog;
  const isNew = state.view !== view;
  const isReading = !isNew && !isAtEnd(box);
  if (isNew) state.rows = new Map();
  state.view = view;
  const anchor = isReading ? firstVisible(box) : null;
  const offset = anchor ? anchor.offsetTop - box.scrollTop : 0;
  const newest = lines.length ? lines[lines.length - 1][0] : null;
  const hasNews = newest !== null && !state.rows.has(newest);
  const rows = mergeRows(state, lines, words, isReading);
  if (hasNews || rows.size !== state.rows.size || lines.some(([id]) => !state.rows.has(id))) {
    box.replaceChildren(...rows.values());
  }
  state.rows = rows;
  if (!isReading) toEnd(box);
  else if (anchor?.isConnected) box.scrollTop = anchor.offsetTop - offset;
  if (isReading && hasNews) button.hidden = false;
}

function build(parentElement) {
  const root = document.createElement("div");
  root.className = "wattle-log";
  const box = root.appendChild(document.createElement("div"));
  box.className = "wattle-log-lines";
  box.setAttribute("role", "log");
  box.setAttribute("aria-label", "Log");
  box.tabIndex = 0;
  const button = root.appendChild(document.createElement("button"));
  button.type = "button";
  button.textContent = "New lines ↓";
  button.hidden = true;
  button.addEventListener("click", () => toEnd(box));
  box.addEventListener("scroll", () => {
    if (isAtEnd(box)) button.hidden = true;
  });
  root.wattleLog = { box, button, state: { rows: new Map(), view: null } };
  // Behind another tab it has no height: its end is found when it is seen.
  let isSeen = false;
  new ResizeObserver(() => {
    if (!isSeen && box.clientHeight > 0) toEnd(box);
    isSeen = box.clientHeight > 0;
  }).observe(box);
  parentElement.append(root);
  return root;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".wattle-log") ?? build(parentElement);
  draw(root, data);
}
