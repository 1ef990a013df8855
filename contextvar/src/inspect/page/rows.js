/**
 * The rows of a scrolling grid, of which only those in view are elements. Row elements are reused: an update
 * changes what differs. The grid keeps the focus and names its active row by `aria-activedescendant`.
 */
class VirtualRows {
  /** `fill(row, item, index)` writes an item into a row that `make()` made. Items have a unique `number`. */
  constructor(grid, { make, fill, onMove }) {
    Object.assign(this, { grid, make, fill, onMove });
    this.body = grid.querySelector(".rows");
    this.head = grid.querySelector(".head");
    this.items = [];
    this.indexes = new Map();
    this.active = null;
    this.pool = [];
    this.first = 0;
    this.drawn = 0;
    grid.addEventListener("scroll", () => this.drawSoon(), { passive: true });
    new ResizeObserver(() => this.drawSoon()).observe(grid);
  }

  /** Replaces the items. The first row in view that is still listed keeps its place, except at the top of the list. */
  setItems(items) {
    const anchor = this.grid.scrollTop > 0 ? this.visibleItems() : [];
    const before = this.indexes;
    this.items = items;
    this.indexes = new Map(items.map((item, index) => [item.number, index]));
    this.setHeight();
    const kept = anchor.find(({ number }) => this.indexes.has(number));
    if (kept) {
      const moved = this.indexes.get(kept.number) - before.get(kept.number);
      if (moved !== 0) this.grid.scrollTop += moved * this.rowHeight;
    }
    this.draw();
  }

  visibleItems() {
    const first = Math.floor(this.grid.scrollTop / this.rowHeight);
    return this.items.slice(first, first + this.rowsInView());
  }

  rowsInView() {
    return Math.max(1, Math.floor((this.grid.clientHeight - this.head.offsetHeight) / this.rowHeight));
  }

  setHeight() {
    this.rowHeight = parseFloat(getComputedStyle(this.grid).getPropertyValue("--row-height")) || 26;
    this.body.style.height = `${this.items.length * this.rowHeight}px`;
    setAttribute(this.grid, "aria-rowcount", this.items.length + 1);
  }

  drawSoon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.setHeight();
      this.draw();
    });
  }

  draw() {
    const spare = 4;
    const top = Math.floor(this.grid.scrollTop / this.rowHeight);
    this.first = Math.max(0, Math.min(top - spare, this.items.length - 1));
    const last = Math.min(this.items.length, top + Math.ceil(this.grid.clientHeight / this.rowHeight) + spare);
    const needed = this.grid.clientHeight > 0 ? Math.max(0, last - this.first) : 0;
    while (this.pool.length < needed) this.pool.push(this.makeRow());
    for (let i = 0; i < needed; i++) this.drawRow(this.pool[i], this.first + i);
    for (let i = needed; i < this.drawn; i++) this.pool[i].remove();
    if (needed > this.drawn) this.body.append(...this.pool.slice(this.drawn, needed));
    this.drawn = needed;
    const index = this.activeIndex();
    const inView = index >= this.first && index < this.first + needed;
    setAttribute(this.grid, "aria-activedescendant", inView ? this.pool[index - this.first].id : null);
  }

  makeRow() {
    const row = this.make();
    row.id = `${this.grid.id}-row-${this.pool.length}`;
    row.setAttribute("role", "row");
    return row;
  }

  drawRow(row, index) {
    const item = this.items[index];
    row.style.transform = `translateY(${index * this.rowHeight}px)`;
    setAttribute(row, "aria-rowindex", index + 2);
    setAttribute(row, "aria-selected", item.number === this.active);
    setAttribute(row, "data-number", item.number);
    this.fill(row, item, index);
  }

  activeIndex() {
    return this.indexes.get(this.active) ?? -1;
  }

  activeItem() {
    return this.items[this.activeIndex()];
  }

  /** The item whose row contains an element, for example the target of a click. */
  itemOf(target) {
    const row = target.closest("[data-number]");
    return row ? this.items[this.indexes.get(Number(row.dataset.number))] : undefined;
  }

  /** Makes a row active and scrolls it into view. */
  moveTo(index) {
    if (this.items.length === 0) return;
    const target = Math.max(0, Math.min(index, this.items.length - 1));
    this.active = this.items[target].number;
    const top = target * this.rowHeight;
    const lowest = top + this.rowHeight + this.head.offsetHeight - this.grid.clientHeight;
    this.grid.scrollTop = Math.max(Math.min(this.grid.scrollTop, top), lowest);
    this.draw();
    this.onMove(this.items[target]);
  }

  /** Handles the keys that move by rows; returns whether the key was one of them. */
  moveByKey(key) {
    const index = this.activeIndex();
    const page = this.rowsInView() - 1;
    const start = Math.floor(this.grid.scrollTop / this.rowHeight);
    const moves = {
      ArrowDown: index < 0 ? start : index + 1,
      ArrowUp: index < 0 ? start : index - 1,
      PageDown: index < 0 ? start : index + page,
      PageUp: index < 0 ? start : index - page,
      Home: 0,
      End: this.items.length - 1,
    };
    if (!(key in moves)) return false;
    this.moveTo(moves[key]);
    return true;
  }
}
