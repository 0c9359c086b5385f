// The page: what is entered becomes a request, the answer a chart.  The key stays in its field.

import { Chart, timeText } from "./chart.js";
import { granularity, points, table } from "./csv.js";
import { snippet } from "./snippets.js";

const WAIT_MS = 150, MOST_BYTES = 20 * 2 ** 20, MOST_ROWS = 500;
const at = (id) => document.getElementById(id);
const endpoint = new URL(".", location.href).href;
const state = { table: null, series: null, answer: null, change: null, language: "python" };
let waiting = 0, calls = null;

const chart = new Chart(at("chart"), readout, (whole) => { at("whole").disabled = whole; });

// ------------------------------------------------------------ data

function take(text) {
  try {
    state.table = table(text);
  } catch (error) {
    forget();
    fail(error.message);
    return;
  }
  const { names, numeric, timeColumn } = state.table;
  const choice = (column) => new Option(names[column], column);
  at("time-column").replaceChildren(new Option("none", -1), ...names.map((_, column) => choice(column)));
  at("value-column").replaceChildren(...numeric.map(choice));
  at("time-column").value = timeColumn;
  at("columns").hidden = names.length === 1;
  choose();
}

function forget() {
  Object.assign(state, { table: null, series: null, answer: null, change: null });
  at("columns").hidden = true;
  at("summary").textContent = "Nothing to show.";
  at("chart").replaceChildren();
  chart.data = null;
  list([]);
  enable(false);
}

/** Take the chosen columns, and the granularity that fits them. */
function choose() {
  const timeColumn = Number(at("time-column").value), valueColumn = Number(at("value-column").value);
  const read = points(state.table, timeColumn, valueColumn);
  at("notes").replaceChildren(...read.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  const [name, every] = timeColumn < 0 ? ["none", 1] : granularity(read.points);
  at("granularity").value = name;
  at("interval").value = every;
  const step = Math.min(...read.points.slice(1, 2000).map((point, index) => point.at - read.points[index].at).filter((one) => one > 0));
  state.series = { points: read.points, timed: timeColumn >= 0, step, name: state.table.names[valueColumn] };
  Object.assign(state, { answer: null, change: null });
  if (read.points.length) chart.show(state.series);
  enable(false);
  ask(0);
}

async function open(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    fail(`${file.name} has ${(file.size / 2 ** 20).toFixed(0)} MB; this page reads up to ${MOST_BYTES / 2 ** 20} MB.`);
    return;
  }
  const text = await file.text();
  at("text").value = text.length < 200000 ? text : `${text.slice(0, 2000)}\n... (${file.name}, not shown whole)`;
  take(text);
}

// ------------------------------------------------------------ the call

function request() {
  const { points, timed } = state.series;
  const body = {
    granularity: at("granularity").value,
    customInterval: whole("interval") ?? 1,
    maxAnomalyRatio: Number(at("ratio").value),
    sensitivity: Number(at("sensitivity").value),
    imputeMode: at("impute").value,
  };
  const period = whole("period");
  if (period !== null) body.period = period;
  if (at("changes").checked) body.threshold = Number(at("threshold").value);
  if (body.granularity === "none") { delete body.customInterval; delete body.imputeMode; }
  body.series = points.map((point) =>
    timed ? { timestamp: new Date(point.at).toISOString().replace(".000Z", "Z"), value: point.value } : { value: point.value });
  return body;
}

/** The number in a field, or null where it is empty; the server says what is wrong with it. */
function whole(id) {
  const text = at(id).value.trim();
  return text === "" ? null : Number(text);
}

/** Ask again soon; of calls that follow each other quickly the last one counts. */
function ask(wait = WAIT_MS) {
  clearTimeout(waiting);
  if (state.series) waiting = setTimeout(judge, wait);
}

async function judge() {
  calls?.abort();
  const mine = (calls = new AbortController());
  const body = JSON.stringify(request());
  at("chart").firstElementChild?.classList.add("busy");
  try {
    const [answer, change] = await Promise.all([
      call("entire", body, mine.signal),
      at("changes").checked ? call("changepoint", body, mine.signal) : null,
    ]);
    if (mine !== calls) return;
    Object.assign(state, { answer, change });
    show();
  } catch (error) {
    if (mine !== calls || error.name === "AbortError") return;
    Object.assign(state, { answer: null, change: null });
    chart.show(state.series);
    list([]);
    at("summary").textContent = `${state.series.points.length} points, not judged.`;
    fail(error.message, error.field);
  }
}

async function call(mode, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const key = at("key").value.trim();
  if (/[^\x21-\x7e]/.test(key)) throw Object.assign(new Error("A key has letters, digits and signs of ASCII alone."), { field: "key" });
  if (key) headers["Ocp-Apim-Subscription-Key"] = key;
  let answer;
  try {
    answer = await fetch(`anomalydetector/v1.1/timeseries/${mode}/detect`, { method: "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  if (answer.status === 401) {
    throw Object.assign(new Error("This server asks for a key: enter one of its keys under Options."), { field: "key" });
  }
  const { code, message } = told.error ?? told;
  throw new Error(`${message ?? answer.statusText} (${code ?? answer.status})`);
}

// ------------------------------------------------------------ the answer

function show() {
  at("error").hidden = true;
  const { answer, change, series } = state;
  const side = answer.isAnomaly.map((flag, place) => (flag ? (answer.isNegativeAnomaly[place] ? -1 : 1) : 0));
  chart.show({
    ...series, expected: answer.expectedValues, upper: answer.upperMargins, lower: answer.lowerMargins, anomaly: side,
    change: change?.isChangePoint, severity: answer.severity,
  });
  const found = side.flatMap((one, place) => (one ? [place] : []));
  const changes = change ? change.isChangePoint.filter(Boolean).length : null;
  at("summary").textContent =
    `${number(found.length, "anomaly", "anomalies")} in ${number(series.points.length, "point", "points")}` +
    (changes === null ? "" : `, ${number(changes, "change point", "change points")}`) +
    (answer.period ? `, period ${answer.period}.` : ", no period found.");
  list(found);
  enable(true);
}

const number = (count, one, many) => `${count} ${count === 1 ? one : many}`;
const short = (value, digits = 5) => String(Number(value.toPrecision(digits)));
const when = (place) => timeText(state.series.points[place].at, state.series.timed, state.series.step);

function list(found) {
  const rows = found.slice(0, MOST_ROWS).map((place) => {
    const row = document.createElement("tr"), first = document.createElement("td");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: when(place) });
    button.addEventListener("click", () => { chart.move(place); at("chart").focus({ preventScroll: true }); });
    first.append(button);
    const { answer, series } = state;
    const cells = [short(series.points[place].value), short(answer.expectedValues[place]), short(answer.severity[place], 3)]
      .map((textContent) => Object.assign(document.createElement("td"), { textContent }));
    row.append(first, ...cells);
    return row;
  });
  if (!rows.length) {
    const row = document.createElement("tr");
    row.append(Object.assign(document.createElement("td"), { colSpan: 4, textContent: state.answer ? "None at this sensitivity." : "None yet." }));
    rows.push(row);
  }
  at("rows").replaceChildren(...rows);
}

function readout(place) {
  if (place < 0 || !state.series) { at("readout").textContent = ""; return; }
  const { answer, change, series } = state, point = series.points[place];
  let text = `${when(place)}: ${short(point.value)}`;
  if (answer) {
    const expected = answer.expectedValues[place];
    const low = short(expected - answer.lowerMargins[place]), high = short(expected + answer.upperMargins[place]);
    text += `, expected ${short(expected)} (${low} to ${high})`;
    if (answer.isAnomaly[place]) text += `, too ${answer.isNegativeAnomaly[place] ? "low" : "high"}, severity ${short(answer.severity[place], 3)}`;
  }
  if (change?.isChangePoint[place]) text += ", change point";
  at("readout").textContent = text;
}

function fail(message, field) {
  const box = at("error");
  box.textContent = message;
  box.hidden = false;
  if (field) { at("options").open = true; at(field).focus(); }
}

function enable(answered) {
  at("save-result").disabled = !answered;
  at("save-request").disabled = !state.series;
}

// ------------------------------------------------------------ code and files

function code() {
  at("code").textContent = snippet(state.language, endpoint, at("changes").checked);
}

function tab(language) {
  state.language = language;
  for (const name of ["python", "curl"]) {
    const chosen = name === language;
    at(`tab-${name}`).setAttribute("aria-selected", chosen);
    at(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  at("code").setAttribute("aria-labelledby", `tab-${language}`);
  code();
}

async function copy() {
  let told = "Copied.";
  try {
    await navigator.clipboard.writeText(at("code").textContent);
  } catch {
    // without TLS a browser gives no clipboard: mark the text, so that Ctrl+C takes it
    getSelection().selectAllChildren(at("code"));
    told = "Marked: press Ctrl+C.";
  }
  at("copied").textContent = told;
  setTimeout(() => { at("copied").textContent = ""; }, 4000);
}

function save(name, type, text) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function result() {
  const { answer, change, series } = state;
  const head = "timestamp,value,expected,upper,lower,isAnomaly,severity,isChangePoint";
  const rows = series.points.map((point, place) => {
    const expected = answer.expectedValues[place];
    return [
      series.timed ? new Date(point.at).toISOString() : place + 1, point.value, expected,
      expected + answer.upperMargins[place], expected - answer.lowerMargins[place], answer.isAnomaly[place],
      answer.severity[place], change?.isChangePoint[place] ?? "",
    ].join(",");
  });
  return [head, ...rows, ""].join("\n");
}

// ------------------------------------------------------------ wiring

at("file").addEventListener("change", (event) => { open(event.target.files[0]); event.target.value = ""; });
at("text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => take(at("text").value), 400); });
at("sample").addEventListener("click", async () => {
  const text = await (await fetch("pages/sample.csv")).text();
  at("text").value = text;
  take(text);
});
for (const id of ["time-column", "value-column"]) at(id).addEventListener("change", choose);
for (const id of ["granularity", "interval", "ratio", "period", "impute", "key"]) at(id).addEventListener("change", () => ask(0));
for (const id of ["sensitivity", "threshold"]) {
  const told = () => { at(`${id}-value`).textContent = id === "threshold" ? Number(at(id).value).toFixed(2) : at(id).value; };
  at(id).addEventListener("input", () => { told(); ask(); });
  told(); // a browser keeps what was set before a reload
}
const withChanges = () => { at("threshold-label").hidden = !at("changes").checked; code(); };
at("changes").addEventListener("change", () => { withChanges(); ask(0); });
at("whole").addEventListener("click", () => chart.whole());
for (const name of ["python", "curl"]) at(`tab-${name}`).addEventListener("click", () => tab(name));
at("tabs").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  tab(state.language === "python" ? "curl" : "python");
  at(`tab-${state.language}`).focus();
});
at("copy").addEventListener("click", copy);
at("save-request").addEventListener("click", () => save("request.json", "application/json", JSON.stringify(request(), null, 1)));
at("save-result").addEventListener("click", () => save("anomalies.csv", "text/csv", result()));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("data-card").classList.toggle("over", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}
at("form").addEventListener("submit", (event) => event.preventDefault());
at("options").open = matchMedia("(min-width: 60rem)").matches; // on a phone the chart comes first
list([]);
withChanges();
tab("python");
