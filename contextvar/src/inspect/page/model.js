// The trees of `?contexts` and the filter. No DOM.

/**
 * Links the contexts of an answer into trees and adds to each:
 * `owner` (the parent's object), `root`, `children`, `level`, `descendants`, `liveBelow`, `treeBusy`, `treeSize`,
 * `leftover` (it has finished and others that it handed over live on), `outlives` (the finished ancestor).
 * The server lists a parent before its children.
 */
function buildForest(contexts) {
  const byNumber = new Map();
  const roots = [];
  for (const context of contexts) {
    const owner = byNumber.get(context.parent) ?? null;
    Object.assign(context, {
      owner, root: owner ? owner.root : context, children: [], level: owner ? owner.level + 1 : 1, position: 0,
      descendants: 0, liveBelow: 0, treeBusy: context.busy_us, treeSize: context.size,
      sendsBody: false, leftover: false, outlives: null, match: false, wanted: false,
    });
    const siblings = owner ? owner.children : roots;
    siblings.push(context);
    context.position = siblings.length;
    byNumber.set(context.number, context);
  }
  for (let i = contexts.length - 1; i >= 0; i--) addToOwner(contexts[i]);
  for (const context of contexts) markLeftover(context);
  return { contexts, roots, byNumber };
}

function addToOwner(context) {
  const { owner } = context;
  if (!owner) return;
  const live = context.finished_us === null;
  owner.descendants += context.descendants + 1;
  owner.liveBelow += context.liveBelow + (live ? 1 : 0);
  owner.treeBusy += context.treeBusy;
  owner.treeSize += context.treeSize;
  // A request whose body is still being sent has not ended for the client.
  if ((context.kind === "body" && live) || (context.sendsBody && context.kind !== "request")) owner.sendsBody = true;
}

function markLeftover(context) {
  context.leftover = context.finished_us !== null && context.liveBelow > 0 && !context.sendsBody;
  const { owner } = context;
  if (!owner) return;
  const nearest = owner.leftover && (isRequest(owner) || !owner.outlives) ? owner : owner.outlives;
  context.outlives = nearest;
}

const isRequest = (context) => context.kind === "request" || context.kind === "body";
const isLive = (context) => context.finished_us === null;

/** The mark of a finished or surviving context, or an empty string. */
function badge(context) {
  if (context.leftover) return `finished, ${context.liveBelow} still live`;
  if (!isLive(context)) return context.sendsBody ? "finished, body still live" : "finished";
  if (context.outlives) return `outlives ${kindText(context.outlives.kind)} #${context.outlives.number}`;
  return "";
}

function stateText(context) {
  if (!isLive(context)) return `finished ${duration(context.finished_us)} ago`;
  if (context.running_on !== null) return `running ${duration(context.running_us ?? 0)} on ${context.running_on}`;
  if (context.last_polled_us !== null) return `idle ${duration(context.last_polled_us)}`;
  return "not run yet";
}

/** Removes quotes: they keep spaces together in a filter, and `Debug` puts them around strings. */
const unquote = (text) => text.replaceAll('"', "");

/** Splits a filter into terms: {name, value, contains}, {number} or {word}. */
function parseFilter(text) {
  const tokens = text.toLowerCase().match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  return tokens.map(parseTerm);
}

function parseTerm(token) {
  const [, name, operator, value] = token.match(/^([^=~"]+)([=~])(.*)$/) ?? [];
  if (name) return { name, value: unquote(value), contains: operator === "~" || value === "" };
  if (/^#\d+$/.test(token)) return { number: Number(token.slice(1)) };
  return { word: unquote(token) };
}

const matchesAll = (context, terms) => terms.every((term) => matchesTerm(context, term));

function matchesTerm(context, { name, value, contains, number, word }) {
  if (number !== undefined) return context.number === number;
  if (word !== undefined) return searchText(context).includes(word);
  return context.variables.some((variable) => {
    if (variable.name.toLowerCase() !== name) return false;
    const shown = unquote(variable.value.toLowerCase());
    return contains ? shown.includes(value) : shown === value;
  });
}

function searchText(context) {
  const variables = context.variables.map(({ name, value }) => `${name}=${value}`);
  const { kind, name } = context;
  const parts = [kind, kindText(kind), place(context), name ?? "", badge(context), ...variables];
  return unquote(parts.join("\n").toLowerCase());
}

const sortOrders = {
  oldest: (a, b) => b.age_us - a.age_us || a.number - b.number,
  newest: (a, b) => a.age_us - b.age_us || b.number - a.number,
  busy: (a, b) => b.treeBusy - a.treeBusy || a.number - b.number,
  size: (a, b) => b.treeSize - a.treeSize || a.number - b.number,
};

/** The roots to show, sorted. Marks the contexts that match and, as `wanted`, the ancestors that lead to them. */
function chooseRoots(forest, terms, onlyLeftovers, order) {
  const found = new Set();
  const surviving = new Set();
  for (const context of forest.contexts) {
    context.match = terms.length > 0 && matchesAll(context, terms);
    context.wanted = false;
  }
  for (const context of forest.contexts) {
    if (context.match) found.add(wantPath(context));
    if (onlyLeftovers && isLive(context) && context.outlives) surviving.add(wantPath(context));
  }
  const shown = (root) => (terms.length === 0 || found.has(root)) && (!onlyLeftovers || surviving.has(root));
  return forest.roots.filter(shown).sort(sortOrders[order]);
}

/** Marks the ancestors of a context as wanted and returns its root. */
function wantPath(context) {
  for (let { owner } = context; owner && !owner.wanted; owner = owner.owner) owner.wanted = true;
  return context.root;
}

/** The contexts of expanded trees in the order of the rows. */
function flatten(roots, isExpanded) {
  const rows = [];
  const stack = roots.toReversed();
  while (stack.length > 0) {
    const context = stack.pop();
    rows.push(context);
    if (context.children.length > 0 && isExpanded(context)) {
      for (let i = context.children.length - 1; i >= 0; i--) stack.push(context.children[i]);
    }
  }
  return rows;
}

const kindPlurals = {
  request: "requests", body: "bodies", task: "tasks", blocking_call: "blocking calls", thread: "threads",
  stream: "streams", closure: "closures", scope: "scopes",
};

/** Pairs of a kind and a count of live contexts, then the finished ones and the leftovers. */
function totals(forest) {
  const counts = Object.fromEntries(Object.keys(kindPlurals).map((kind) => [kind, 0]));
  let finished = 0;
  let leftovers = 0;
  for (const context of forest.contexts) {
    if (!isLive(context)) finished += 1;
    else counts[context.kind] = (counts[context.kind] ?? 0) + 1;
    if (isLive(context) && context.outlives) leftovers += 1;
  }
  return { counts, finished, leftovers };
}
