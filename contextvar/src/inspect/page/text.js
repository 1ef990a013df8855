// Text of numbers and times, and small helpers for the DOM. Everything that comes from the server goes through
// `textContent`, attributes or CSSOM: nothing is parsed as HTML.

const byId = (id) => document.getElementById(id);

/** Creates an element with a class and children; a string child becomes a text node. */
function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** Sets the text only if it differs, so that a selection of text survives an update. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute only if it differs; null removes it. */
function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Makes `parent` have `count` children: calls `make` for missing children, removes surplus ones. */
function setChildCount(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make());
}

/** Three digits at most, for example "1.23", "12.3" or "123". */
const digits = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
const twoDigits = (value) => String(value).padStart(2, "0");

/** A time in microseconds, for example "40 ms", "2.1 s" or "3 min 05 s". The server's clock ticks each millisecond. */
function duration(us) {
  if (us < 1000) return "< 1 ms";
  if (us < 999_500) return `${Math.round(us / 1000)} ms`;
  if (us < 59_950_000) return `${(us / 1e6).toFixed(1)} s`;
  const seconds = Math.round(us / 1e6);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${twoDigits(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${twoDigits(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${twoDigits(hours % 24)} h`;
}

function bytes(size) {
  if (size < 1000) return `${size} B`;
  if (size < 999_500) return `${digits(size / 1000)} kB`;
  return `${digits(size / 1e6)} MB`;
}

/** The local time of day, for example "14:05:03"; with milliseconds on request. */
function timeOfDay(ms, withMilliseconds = false) {
  const date = new Date(ms);
  const text = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  return withMilliseconds ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

const count = (number, noun, plural = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
const kindText = (kind) => kind.replaceAll("_", " ");
const place = (context) => `${context.file}:${context.line}`;

const longestPlace = 20;

/** The place in the source, with the last folder or none where the path is long. */
function shortPlace(context) {
  const text = place(context);
  if (text.length <= longestPlace) return text;
  const parts = text.split(/[\\/]/);
  const short = `…/${parts.slice(-2).join("/")}`;
  return short.length <= longestPlace ? short : `…/${parts.at(-1)}`;
}
