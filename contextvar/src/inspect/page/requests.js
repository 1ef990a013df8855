/** The tab "Requests": the trees, with a filter, a sort order and totals. */
class RequestsView {
  queries = ["contexts"];

  constructor(saveHash) {
    this.saveHash = saveHash;
    this.forest = null;
    this.choices = new Map(); // by number: true if the user expanded the row, false if collapsed
    this.grid = byId("tree");
    this.details = new Details(byId("details"), (number) => this.reveal(number), () => this.closeDetails());
    this.rows = new VirtualRows(this.grid, {
      make: makeContextRow,
      fill: (row, context) => fillContextRow(row, context, this.isExpanded(context)),
      onMove: () => this.showDetails(),
    });
    this.grid.addEventListener("keydown", (event) => this.onKey(event));
    this.grid.addEventListener("click", (event) => this.onClick(event));
    for (const id of ["filter", "sort", "leftovers"]) byId(id).addEventListener("input", () => this.onControl());
    byId("expand").addEventListener("click", () => this.setAll(true));
    byId("collapse").addEventListener("click", () => this.setAll(false));
  }

  load(params) {
    byId("filter").value = params.get("filter") ?? "";
    byId("sort").value = Object.hasOwn(sortOrders, params.get("sort")) ? params.get("sort") : "oldest";
    byId("leftovers").checked = params.has("leftovers");
    this.draw();
  }

  save(params) {
    if (byId("filter").value.trim()) params.set("filter", byId("filter").value.trim());
    if (byId("sort").value !== "oldest") params.set("sort", byId("sort").value);
    if (byId("leftovers").checked) params.set("leftovers", "1");
  }

  update([answer]) {
    this.forest = buildForest(answer.contexts);
    for (const number of this.choices.keys()) if (!this.forest.byNumber.has(number)) this.choices.delete(number);
    this.draw();
  }

  onControl() {
    this.saveHash();
    this.grid.scrollTop = 0;
    this.draw();
  }

  draw() {
    if (!this.forest) return;
    const terms = parseFilter(byId("filter").value);
    const roots = chooseRoots(this.forest, terms, byId("leftovers").checked, byId("sort").value);
    this.rows.setItems(flatten(roots, (context) => this.isExpanded(context)));
    this.showTotals(roots.length);
    this.showEmpty(roots.length);
    this.showDetails();
  }

  /** A root is collapsed until the user expands it, or the filter matches a context below it. */
  isExpanded(context) {
    return this.choices.get(context.number) ?? this.isExpandedByDefault(context);
  }

  isExpandedByDefault(context) {
    return context.owner !== null || context.wanted;
  }

  setExpanded(context, expanded) {
    if (expanded === this.isExpandedByDefault(context)) this.choices.delete(context.number);
    else this.choices.set(context.number, expanded);
  }

  setAll(expanded) {
    if (!this.forest) return;
    for (const context of this.forest.contexts) {
      if (context.children.length > 0) this.setExpanded(context, expanded || context.owner !== null);
    }
    this.draw();
  }

  /** Expands the ancestors of a context and moves to it, unless the filter hides it. */
  reveal(number) {
    let context = this.forest.byNumber.get(number);
    while (context?.owner) {
      context = context.owner;
      this.setExpanded(context, true);
    }
    this.draw();
    const index = this.rows.indexes.get(number);
    if (index !== undefined) this.rows.moveTo(index);
    this.grid.focus();
  }

  showTotals(shown) {
    const { counts, finished, leftovers } = totals(this.forest);
    const always = new Set(["request", "task"]);
    const parts = Object.entries(counts)
      .filter(([kind, number]) => number > 0 || always.has(kind))
      .map(([kind, number]) => [kindPlurals[kind] ?? kind, count(number, kindText(kind), kindPlurals[kind])]);
    parts.push(["finished", `${finished.toLocaleString("en")} finished, still listed`]);
    parts.push(["leftovers", count(leftovers, "leftover")]);
    parts.push(["trees", `${shown.toLocaleString("en")} of ${count(this.forest.roots.length, "tree")} shown`]);
    const line = byId("totals");
    setChildCount(line, parts.length, () => element("span"));
    parts.forEach(([key, text], index) => {
      setAttribute(line.children[index], "data-total", key);
      setText(line.children[index], text);
    });
    line.classList.toggle("has-leftovers", leftovers > 0);
  }

  showEmpty(shown) {
    const empty = byId("tree-empty");
    empty.hidden = shown > 0;
    const leftovers = byId("leftovers").checked && !byId("filter").value.trim();
    if (this.forest.contexts.length === 0) setText(empty, "No request, task, thread or stream holds a context.");
    else setText(empty, leftovers ? "No leftovers: no context outlives a finished one." : "No context matches.");
  }

  showDetails() {
    if (!this.details.isOpen()) return;
    this.details.show(this.forest.byNumber.get(this.rows.active));
  }

  toggleDetails() {
    if (this.details.isOpen()) return this.closeDetails();
    this.details.open();
    this.showDetails();
    this.rows.moveTo(this.rows.activeIndex());
  }

  closeDetails() {
    this.details.close();
    this.grid.focus();
  }

  onClick({ target }) {
    const context = this.rows.itemOf(target);
    if (!context) return;
    if (target.closest(".twisty") && context.children.length > 0) {
      this.rows.active = context.number;
      return this.toggle(context, !this.isExpanded(context));
    }
    this.details.open();
    this.rows.moveTo(this.rows.indexes.get(context.number));
  }

  toggle(context, expanded) {
    this.setExpanded(context, expanded);
    this.draw();
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (this.rows.moveByKey(event.key) || this.actByKey(event.key)) event.preventDefault();
  }

  /** Handles the keys of the treegrid pattern other than those that move by rows. */
  actByKey(key) {
    if (key === "Escape" && this.details.isOpen()) return this.closeDetails(), true;
    const context = this.rows.activeItem();
    if (!context) return false;
    const opened = context.children.length > 0 && this.isExpanded(context);
    if (key === "Enter" || key === " ") this.toggleDetails();
    else if (key === "ArrowRight" && opened) this.rows.moveTo(this.rows.activeIndex() + 1);
    else if (key === "ArrowRight" && context.children.length > 0) this.toggle(context, true);
    else if (key === "ArrowLeft" && opened) this.toggle(context, false);
    else if (key === "ArrowLeft" && context.owner) this.rows.moveTo(this.rows.indexes.get(context.owner.number));
    else return key === "ArrowRight" || key === "ArrowLeft";
    return true;
  }
}

const contextColumns = ["place", "name", "age", "state", "polls", "busy", "longest", "size"];
const numberColumns = new Set(["age", "polls", "busy", "longest", "size"]);
const indent = 16;
const deepestIndent = 10;
const mostVariables = 12;

function makeContextRow() {
  const row = element("div", "row");
  const cell = (className) => {
    const node = element("div", className);
    node.setAttribute("role", "gridcell");
    row.append(node);
    return node;
  };
  const tree = cell("tree-cell");
  const cells = {};
  for (const name of contextColumns) cells[name] = cell(numberColumns.has(name) ? `${name} number` : name);
  const parts = {
    tree, cells,
    twisty: element("span", "twisty"), id: element("span", "id"), kind: element("span", "kind"),
    inside: element("span", "inside"), badge: element("span", "badge"), chips: element("span", "chips"),
  };
  tree.append(parts.twisty, parts.id, " ", parts.kind, " ", parts.inside);
  parts.twisty.setAttribute("aria-hidden", "true");
  cell("variables").append(parts.badge, " ", parts.chips);
  row.parts = parts;
  return row;
}

function fillContextRow(row, context, expanded) {
  const { parts } = row;
  const siblings = context.owner ? context.owner.children.length : null;
  setAttribute(row, "aria-level", context.level);
  setAttribute(row, "aria-posinset", siblings && context.position);
  setAttribute(row, "aria-setsize", siblings);
  setAttribute(row, "aria-expanded", context.children.length > 0 ? expanded : null);
  setAttribute(row, "data-kind", context.kind);
  setAttribute(row, "data-finished", !isLive(context));
  setAttribute(row, "data-state", !isLive(context) ? "finished" : context.running_on !== null ? "running" : "idle");
  row.classList.toggle("match", context.match);
  parts.tree.style.paddingInlineStart = `${Math.min(context.level - 1, deepestIndent) * indent}px`;
  setText(parts.twisty, context.children.length === 0 ? "" : expanded ? "▾" : "▸");
  setText(parts.id, `#${context.number}`);
  setText(parts.kind, kindText(context.kind));
  setText(parts.inside, context.descendants > 0 ? `+${context.descendants}` : "");
  setAttribute(parts.inside, "title", context.descendants > 0 ? count(context.descendants, "descendant") : null);
  const texts = rowTexts(context);
  contextColumns.forEach((name, index) => setText(parts.cells[name], texts[index]));
  setAttribute(parts.cells.name, "title", context.name);
  setAttribute(parts.cells.place, "title", place(context));
  setAttribute(parts.cells.state, "title", stateText(context));
  fillBadge(parts.badge, context);
  fillChips(parts.chips, context.variables);
}

function rowTexts(context) {
  return [
    shortPlace(context), context.name ?? "", duration(context.age_us), stateText(context),
    context.polls.toLocaleString("en"), duration(context.busy_us), duration(context.longest_poll_us), bytes(context.size),
  ];
}

function fillBadge(node, context) {
  setText(node, badge(context));
  node.classList.toggle("warn", context.leftover || (isLive(context) && context.outlives !== null));
}

function makeChip() {
  const chip = element("span", "chip", element("b"), "=", element("span", "value"));
  chip.setAttribute("role", "listitem");
  return chip;
}

function fillChips(node, variables) {
  const shown = variables.slice(0, mostVariables);
  setAttribute(node, "role", shown.length > 0 ? "list" : null);
  setChildCount(node, shown.length, makeChip);
  shown.forEach(({ name, value }, index) => {
    const chip = node.children[index];
    setAttribute(chip, "data-variable", name);
    setAttribute(chip, "title", `${name}=${value}`);
    setText(chip.firstElementChild, name);
    setText(chip.lastElementChild, value);
  });
}
