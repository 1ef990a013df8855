const mostParents = 50;

/** The panel with all data of the selected context. */
class Details {
  constructor(panel, onParent, onClose) {
    this.panel = panel;
    this.onParent = onParent;
    this.title = element("h2");
    this.badge = element("span", "badge");
    const close = element("button", "close", "Close");
    close.type = "button";
    close.addEventListener("click", onClose);
    this.fields = element("dl", "fields");
    this.variables = element("dl", "variables");
    this.noVariables = element("p", "help");
    this.parents = element("ol", "parents");
    this.parentsEnd = element("p", "help");
    panel.append(
      element("div", "details-head", this.title, this.badge, close),
      element("div", "details-body",
        element("section", "", element("h3", "", "Variables"), this.variables, this.noVariables),
        element("section", "", element("h3", "", "Context"), this.fields),
        element("section", "", element("h3", "", "Handed over by"), this.parents, this.parentsEnd)),
    );
  }

  isOpen() {
    return !this.panel.hidden;
  }

  open() {
    this.panel.hidden = false;
  }

  close() {
    this.panel.hidden = true;
  }

  /** Shows a context. Without one, keeps the last values and marks them as no longer listed. */
  show(context) {
    if (!context) return setText(this.badge, "no longer listed");
    setAttribute(this.panel, "data-number", context.number);
    setText(this.title, `${kindText(context.kind)} #${context.number}`);
    fillBadge(this.badge, context);
    fillList(this.fields, detailFields(context));
    fillList(this.variables, context.variables.map(({ name, value }) => [name, value]));
    this.noVariables.hidden = context.variables.length > 0;
    setText(this.noVariables, isLive(context) ? "No variable is set." : "Released when the context finished.");
    this.showParents(context);
  }

  showParents(context) {
    const chain = [];
    for (let { owner } = context; owner; owner = owner.owner) chain.push(owner);
    const shown = chain.slice(0, mostParents);
    const rest = chain.length - shown.length;
    this.parentsEnd.hidden = chain.length > 0 && rest === 0;
    setText(this.parentsEnd, rest > 0 ? `and ${rest} more` : "No listed context: this is a root.");
    setChildCount(this.parents, shown.length, () => element("li", "", this.parentButton(), element("span")));
    shown.forEach((parent, index) => {
      const [button, where] = this.parents.children[index].children;
      setAttribute(button, "data-parent", parent.number);
      setText(button, `${kindText(parent.kind)} #${parent.number}`);
      const name = parent.name === null ? "" : ` ${parent.name}`;
      const finished = isLive(parent) ? "" : `, ${stateText(parent)}`;
      setText(where, ` ${place(parent)}${name}${finished}`);
    });
  }

  parentButton() {
    const button = element("button", "link");
    button.type = "button";
    button.addEventListener("click", () => this.onParent(Number(button.dataset.parent)));
    return button;
  }
}

function detailFields(context) {
  const ago = (us) => (us === null ? "never" : `${duration(us)} ago`);
  return [
    ["State", stateText(context)],
    ["Handed over at", `${place(context)}:${context.column}`],
    ["Name", context.name ?? "none"],
    ["Age", duration(context.age_us)],
    ["Tokio task", context.task_id === null ? "none" : String(context.task_id)],
    ["Polls", context.polls.toLocaleString("en")],
    ["Busy", duration(context.busy_us)],
    ["Longest poll", duration(context.longest_poll_us)],
    ["Last polled", ago(context.last_polled_us)],
    ["Size", bytes(context.size)],
    ["Descendants", `${context.descendants.toLocaleString("en")}, ${context.liveBelow.toLocaleString("en")} live`],
  ];
}

/** Writes pairs of a term and a text into a description list, in place. */
function fillList(list, pairs) {
  setChildCount(list, pairs.length, () => element("div", "", element("dt"), element("dd")));
  pairs.forEach(([term, text], index) => {
    const [name, value] = list.children[index].children;
    setText(name, term);
    setText(value, text);
  });
}
