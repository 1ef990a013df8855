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
  const task = lost.task_id === null ? "" : ` (tokio task ${lost.task_id})`;
  const texts = [
    lost.count.toLocaleString("en"), lost.variable, lost.access, `${place(lost)}:${lost.column}`,
    `${lost.cause}${task}: ${lost.text}`, lost.remedy,
  ];
  texts.forEach((text, index) => setText(row.children[index], text));
  setAttribute(row, "data-place", `${place(lost)}:${lost.column}`);
  setAttribute(row, "data-variable", lost.variable);
}
