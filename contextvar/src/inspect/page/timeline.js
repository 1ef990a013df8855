const minuteMs = 60_000;
const mostMinutes = 120;
const timelineHint = "Select a row with the mouse or the arrow keys to see its times.";

/** The tab "Timeline": the requests of one minute, or of the last 60 seconds, with their tasks as bars. */
class TimelineView {
  queries = ["finished", "contexts"];

  constructor(saveHash) {
    this.saveHash = saveHash;
    this.chosen = null; // the start of the chosen minute; null follows the present
    this.spans = null;
    this.now = Date.now();
    this.since = this.now;
    this.grid = byId("timeline");
    this.rows = new VirtualRows(this.grid, {
      make: makeSpanRow,
      fill: (row, item) => fillSpanRow(row, item, this.range()),
      onMove: (item) => setText(byId("timeline-details"), spanText(item)),
    });
    this.grid.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (this.rows.moveByKey(event.key)) event.preventDefault();
    });
    this.grid.addEventListener("click", ({ target }) => {
      const item = this.rows.itemOf(target);
      if (item) this.rows.moveTo(this.rows.indexes.get(item.number));
    });
    byId("minute").addEventListener("input", ({ target }) => this.choose(target.value ? Number(target.value) : null));
    byId("minute-back").addEventListener("click", () => this.step(-1));
    byId("minute-on").addEventListener("click", () => this.step(1));
    byId("minute-now").addEventListener("click", () => this.choose(null));
  }

  load(params) {
    const minute = Number(params.get("minute"));
    this.chosen = minute > 0 ? Math.floor(minute / minuteMs) * minuteMs : null;
    this.draw();
  }

  save(params) {
    if (this.chosen !== null) params.set("minute", this.chosen);
  }

  update([finished, live]) {
    this.now = live.time_ms;
    this.since = finished.since_ms;
    this.spans = buildSpans(finished, live);
    this.draw();
  }

  choose(minute) {
    this.chosen = minute;
    this.saveHash();
    this.grid.scrollTop = 0;
    this.draw();
  }

  step(by) {
    const present = Math.floor(this.now / minuteMs) * minuteMs;
    const next = (this.chosen ?? present + (by < 0 ? 0 : minuteMs)) + by * minuteMs;
    this.choose(next > present ? null : next);
  }

  range() {
    const from = this.chosen ?? this.now - minuteMs;
    return { from, to: from + minuteMs, now: this.now };
  }

  draw() {
    if (!this.spans) return;
    const range = this.range();
    const { rows, requests } = chooseSpans(this.spans, range);
    this.rows.setItems(rows);
    setText(byId("timeline-totals"), `${count(requests, "request")}, ${count(rows.length, "row")}`);
    byId("timeline-empty").hidden = rows.length > 0;
    const incomplete = this.since > range.from;
    byId("incomplete").hidden = !incomplete;
    const since = timeOfDay(this.since);
    if (incomplete) setText(byId("incomplete"), `The record of this minute is incomplete. It starts at ${since}.`);
    setAttribute(byId("minute-now"), "aria-pressed", this.chosen === null);
    byId("minute-on").disabled = this.chosen === null;
    this.drawMinutes();
    drawAxis(range);
    const active = this.rows.activeItem();
    setText(byId("timeline-details"), active ? spanText(active) : timelineHint);
  }

  /** Lists the minutes since the record began, the latest first. */
  drawMinutes() {
    const select = byId("minute");
    const latest = Math.floor(this.now / minuteMs) * minuteMs;
    const earliest = Math.max(Math.floor(this.since / minuteMs) * minuteMs, latest - mostMinutes * minuteMs);
    const minutes = [];
    for (let minute = latest; minute >= earliest; minute -= minuteMs) minutes.push(minute);
    if (this.chosen !== null && !minutes.includes(this.chosen)) minutes.push(this.chosen);
    const signature = minutes.join();
    if (select.dataset.minutes !== signature) {
      select.dataset.minutes = signature;
      const option = (minute) => new Option(timeOfDay(minute).slice(0, 5), minute);
      select.replaceChildren(new Option("last 60 s", ""), ...minutes.map(option));
    }
    const value = this.chosen === null ? "" : String(this.chosen);
    if (select.value !== value) select.value = value;
  }
}

/**
 * Merges finished and live contexts into spans of time. A root or a request begins a group; `members` are the
 * spans that a span handed over, except the body of a request, which is a part of the request's row.
 */
function buildSpans(finished, live) {
  const spans = new Map();
  for (const context of live.contexts) spans.set(context.number, liveSpan(context, live.time_ms));
  for (const context of finished.contexts) {
    const known = spans.get(context.number);
    const span = { ...known?.context, ...context };
    spans.set(context.number, makeSpan(span, context.started_ms, context.ended_ms));
  }
  for (const span of spans.values()) span.owner = spans.get(span.context.parent) ?? null;
  const sorted = [...spans.values()].sort((a, b) => a.start - b.start || a.number - b.number);
  sorted.forEach(placeSpan);
  return { spans: sorted, groups: sorted.filter((span) => span.group === span) };
}

function liveSpan(context, now) {
  const end = context.finished_us === null ? null : now - context.finished_us / 1000;
  return makeSpan(context, now - context.age_us / 1000, end);
}

function makeSpan(context, start, end) {
  const { number } = context;
  return { context, number, start, end, owner: null, group: null, level: 1, members: [], body: null, shownIn: null };
}

/** Puts a span into the group of its owner, which is placed first. */
function placeSpan(span) {
  if (span.group) return;
  const { owner, context } = span;
  if (owner) placeSpan(owner);
  if (!owner || context.kind === "request" || (context.kind === "body" && owner.context.kind !== "request")) {
    span.group = span;
  } else if (context.kind === "body") {
    owner.body = span;
    span.group = owner.group;
    span.level = owner.level;
  } else {
    span.group = owner.group;
    span.level = owner.level + 1;
    owner.members.push(span);
  }
}

const overlaps = (span, { from, to, now }) => span.start < to && (span.end ?? now) >= from;

/** The rows of a range: the spans that overlap it and those that lead to them, in the order of their trees. */
function chooseSpans({ spans, groups }, range) {
  for (const span of spans) if (overlaps(span, range)) markShown(span, range);
  const rows = [];
  let requests = 0;
  const stack = groups.toReversed();
  while (stack.length > 0) {
    const span = stack.pop();
    if (span.shownIn !== range) continue;
    rows.push(span);
    if (isRequest(span.context)) requests += 1;
    for (const member of (span.body?.members ?? []).toReversed()) stack.push(member);
    for (const member of span.members.toReversed()) stack.push(member);
  }
  return { rows, requests };
}

/** Marks a span and its ancestors up to the one that begins the group. */
function markShown(span, range) {
  while (span.shownIn !== range) {
    span.shownIn = range;
    if (span.group === span) return;
    span = span.owner;
  }
}

function makeSpanRow() {
  const cells = [element("div", "label"), element("div", "number"), element("div", "lane")];
  for (const cell of cells) cell.setAttribute("role", "gridcell");
  const [label, length, lane] = cells;
  const parts = {
    label, length, lane, id: element("span", "id"), kind: element("span", "kind"), where: element("span", "where"),
    bars: [element("div", "bar"), element("div", "bar body")], hint: element("span", "hint"),
  };
  label.append(parts.id, " ", parts.kind, " ", parts.where);
  lane.append(...parts.bars, parts.hint);
  const row = element("div", "row", ...cells);
  row.parts = parts;
  return row;
}

function fillSpanRow(row, span, range) {
  const { parts } = row;
  const { context, body } = span;
  const text = spanText(span);
  setAttribute(row, "data-kind", context.kind);
  setAttribute(row, "data-finished", span.end !== null);
  setAttribute(row, "title", text);
  parts.label.style.paddingInlineStart = `${Math.min(span.level - 1, 6) * 14 + 8}px`;
  setText(parts.id, `#${context.number}`);
  setText(parts.kind, kindText(context.kind));
  setText(parts.where, whereText(context));
  setText(parts.length, duration(spanLength(span, range.now)));
  drawBar(parts.bars[0], span, range, context.kind);
  drawBar(parts.bars[1], body, range, "body");
  const last = body ?? span;
  const hint = (last.end ?? range.now) < range.from ? `ended at ${timeOfDay(last.end)}` : "";
  setText(parts.hint, hint);
  setAttribute(parts.lane, "aria-label", hint ? `${hint} · ${text}` : text);
}

function whereText(context) {
  const variables = (context.variables ?? []).map(({ name, value }) => `${name}=${value}`);
  return [shortPlace(context), context.name ?? "", ...variables].filter(Boolean).join(" ");
}

const spanLength = (span, now) => ((span.body ? span.body.end : span.end) ?? now) * 1000 - span.start * 1000;

/** Places a bar on its lane in percent of the minute; cuts off what lies outside, marked by a flat end. */
function drawBar(bar, span, range, kind) {
  bar.hidden = !span || !overlaps(span, range);
  if (bar.hidden) return;
  const percent = (ms) => ((ms - range.from) / minuteMs) * 100;
  const left = Math.max(0, percent(span.start));
  const right = Math.min(100, percent(span.end ?? range.now));
  bar.style.left = `${left}%`;
  bar.style.width = `${Math.max(0, right - left)}%`;
  setAttribute(bar, "data-kind", kind);
  bar.classList.toggle("live", span.end === null);
  bar.classList.toggle("from-before", span.start < range.from);
  bar.classList.toggle("goes-on", (span.end ?? range.now) > range.to);
}

function spanText({ context, start, end, body }) {
  const times = (from, to) => {
    if (to === null) return `${timeOfDay(from, true)}, still live`;
    return `${timeOfDay(from, true)} to ${timeOfDay(to, true)}, ${duration((to - from) * 1000)}`;
  };
  const parts = [`${kindText(context.kind)} #${context.number}`, place(context), times(start, end)];
  if (body) parts.push(`body #${body.number} ${times(body.start, body.end)}`);
  parts.push(`busy ${duration(context.busy_us)} in ${count(context.polls, "poll")}`);
  return parts.join(" · ");
}

/** Marks every ten seconds. */
function drawAxis({ from }) {
  const axis = byId("axis");
  const step = 10_000;
  const first = Math.ceil(from / step) * step;
  setChildCount(axis, 6, () => element("span", "tick"));
  [...axis.children].forEach((tick, index) => {
    const at = first + index * step;
    tick.style.left = `${((at - from) / minuteMs) * 100}%`;
    setText(tick, timeOfDay(at));
  });
  // A percentage moves the lines by a part of what six times their distance leave: five sixths of the width.
  byId("timeline").style.setProperty("--grid-offset", `${((first - from) / minuteMs) * 120}%`);
}
