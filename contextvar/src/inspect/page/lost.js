/** The tab "Lost reads": the places that read or wrote a variable where no context was current. */
class LostView {
  queries = ["lost"];

  load() {}
  save() {}

  update([answer]) {
    const places = answer.places.toSorted((a, b) => b.count - a.count);
    byId("lost").hidden = places.length === 0;
    byId("lost-empty").hidden = places.length > 0;
    const body = byId("lost").tBodies[0];
    setChildCount(body, places.length, makeLostRow);
    places.forEach((lost, index) => fillLostRow(body.children[index], lost));
  }
}

function makeLostRow() {
  const columns = ["number count", "variable", "access", "place", "text", "remedy"];
  return element("tr", "", ...columns.map((name) => element("td", name)));
}

function fillLostRow(row, lost) {
  const where = `${place(lost)}:${lost.column}`;
  const text = lost.text.startsWith(`${where}: `) ? lost.text.slice(where.length + 2) : lost.text;
  const task = lost.task_id === null || text.includes(`task ${lost.task_id}`) ? "" : ` (tokio task ${lost.task_id})`;
  const texts = [
    lost.count.toLocaleString("en"), lost.variable, `${lost.access}, ${lost.cause}`, where, text + task, lost.remedy,
  ];
  texts.forEach((content, index) => setCodeText(row.children[index], content));
  setAttribute(row, "data-place", where);
  setAttribute(row, "data-variable", lost.variable);
}

/** Sets a text in which backquotes mark code. */
function setCodeText(node, text) {
  const parts = text.split("`");
  if (node.textContent === parts.join("")) return;
  node.replaceChildren(...parts.map((part, index) => (index % 2 === 1 ? element("code", "", part) : part)));
}
