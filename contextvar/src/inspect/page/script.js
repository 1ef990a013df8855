"use strict";
// The page of `inspect::page()`: three tabs that show the answers to `?contexts`, `?lost` and `?finished` of its own
// address. It sends only GET requests. The server joins the scripts of this folder into one, starting with this file.
// The hash holds the tab and its settings: `#/requests?filter=tenant%3Dacme&sort=busy`, `#/lost`,
// `#/timeline?minute=1796000040000`.
//
// Names that tests use:
//   #tab-requests #tab-lost #tab-timeline   the tabs; #panel-.. their panels
//   #message #pause #updated                the last error; the button that stops fetching; the time of the data
//   #filter #sort #leftovers #expand #collapse #totals [data-total=requests|tasks|finished|leftovers|trees|..]
//   #tree (treegrid) > #rows > .row[data-number][data-kind][data-finished][data-state], .badge, .chip[data-variable]
//   .row.match                              a row that the filter matches
//   #details[data-number] [data-parent]     the panel of the selected context; a button for each of its parents
//   #lost (table) tr[data-place][data-variable], #lost-empty
//   #timeline (grid) > #bars > .row[data-number][data-kind][data-finished] .bar
//   #minute #minute-back #minute-on #minute-now #incomplete #timeline-details

const interval = 1000;
const patience = 15_000;
const tabs = ["requests", "lost", "timeline"];

class Page {
  constructor() {
    const saveHash = () => this.saveHash();
    this.views = {
      requests: new RequestsView(saveHash), lost: new LostView(), timeline: new TimelineView(saveHash),
    };
    this.loaded = new Set();
    this.paused = false;
    this.wake = () => {};
    for (const tab of tabs) {
      byId(`tab-${tab}`).addEventListener("click", () => this.open(tab));
      byId(`tab-${tab}`).addEventListener("keydown", (event) => this.onTabKey(event));
    }
    byId("pause").addEventListener("click", () => this.setPaused(!this.paused));
    addEventListener("hashchange", () => this.loadHash());
    document.addEventListener("visibilitychange", () => this.wake());
    this.loadHash();
  }

  /**
   * Reads the tab and its settings from the hash, for example `#/requests?filter=tenant%3Dacme`. Without the slash,
   * a hash could name an element, and the Tab key would start there.
   */
  loadHash() {
    const [tab, query] = location.hash.slice(2).split("?", 2);
    const params = new URLSearchParams(query);
    this.show(tabs.includes(tab) ? tab : "requests");
    this.views[this.tab].load(params);
  }

  saveHash() {
    const params = new URLSearchParams();
    this.views[this.tab].save(params);
    history.replaceState(null, "", `#/${this.tab}${params.size > 0 ? `?${params}` : ""}`);
  }

  open(tab) {
    this.show(tab);
    this.saveHash();
    this.views[tab].draw?.();
  }

  show(tab) {
    this.tab = tab;
    for (const other of tabs) {
      const selected = other === tab;
      setAttribute(byId(`tab-${other}`), "aria-selected", selected);
      byId(`tab-${other}`).tabIndex = selected ? 0 : -1;
      byId(`panel-${other}`).hidden = !selected;
    }
    this.wake();
  }

  onTabKey(event) {
    const at = tabs.indexOf(this.tab);
    const targets = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
    if (!(event.key in targets)) return;
    event.preventDefault();
    const tab = tabs.at(targets[event.key] % tabs.length);
    this.open(tab);
    byId(`tab-${tab}`).focus();
  }

  setPaused(paused) {
    this.paused = paused;
    setAttribute(byId("pause"), "aria-pressed", paused);
    setText(byId("pause"), paused ? "Resume" : "Pause");
    this.wake();
  }

  /** A tab is fetched at least once, even while the page is paused. */
  isActive() {
    return !document.hidden && (!this.paused || !this.loaded.has(this.tab));
  }

  /** Fetches the data of the open tab, one request at a time, at most once a second per tab. */
  async run() {
    for (;;) {
      const { tab } = this;
      const next = performance.now() + interval;
      if (this.isActive()) await this.refresh(tab);
      if (tab === this.tab) await this.sleep(this.isActive() ? next - performance.now() : null);
    }
  }

  /** Waits until the milliseconds have passed (never, if null) or `wake` is called. */
  sleep(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      if (ms !== null) setTimeout(resolve, Math.max(0, ms));
    });
  }

  async refresh(tab) {
    try {
      const answers = [];
      for (const query of this.views[tab].queries) answers.push(await getJson(query));
      if (tab !== this.tab) return;
      this.loaded.add(tab);
      this.views[tab].update(answers);
      setText(byId("updated"), timeOfDay(answers[0].time_ms ?? Date.now()));
      showMessage("");
    } catch (error) {
      showMessage(`${error.message} The page tries again every second.`);
    }
  }
}

async function getJson(query) {
  let answer;
  try {
    const signal = AbortSignal.timeout(patience);
    answer = await fetch(`?${query}`, { cache: "no-store", signal });
  } catch (error) {
    throw new Error(`The server does not answer (${error.message}).`);
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim().slice(0, 500);
    throw new Error(`The server answered ${answer.status} ${answer.statusText}: ${text || "no text"}.`);
  }
  return answer.json();
}

function showMessage(text) {
  setText(byId("message"), text);
  byId("message").hidden = text === "";
}

addEventListener("DOMContentLoaded", () => new Page().run());
