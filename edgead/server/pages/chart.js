// The chart: one SVG, drawn anew for the part of the series that is shown.

const SVG = "http://www.w3.org/2000/svg";
const TOP = 12, BOTTOM = 26, RIGHT = 10, LETTER = 7;
const MOST_DRAWN = 4; // vertices of a line for each pixel of width

const format = (value) => {
  const size = Math.abs(value);
  if (value === 0) return "0";
  return size >= 1e6 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(size >= 1000 ? 6 : 4)));
};

/** ISO text of a time, as short as its step allows. */
export function timeText(at, timed, step = 0) {
  if (!timed) return `#${at + 1}`;
  const text = new Date(at).toISOString();
  if (step >= 86400000) return text.slice(0, 10);
  return `${text.slice(0, 10)} ${text.slice(11, step >= 60000 ? 16 : step >= 1000 ? 19 : 23)}`;
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

/** Round values between `low` and `high`, about `wanted` of them. */
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw) ?? raw;
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high && found.length < 50; at++) found.push(at * step);
  return found;
}

export class Chart {
  /** `onMove(index)` is told which point is looked at (-1 = none), `onZoom(whole)` whether all is shown. */
  constructor(box, onMove, onZoom) {
    Object.assign(this, { box, onMove, onZoom, data: null, first: 0, last: 0, at: -1, drag: null, hovered: false });
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("pointermove", (event) => this.#hover(event));
    box.addEventListener("pointerleave", () => this.drag === null && this.hovered && this.move(-1));
    box.addEventListener("pointerdown", (event) => this.#press(event));
    box.addEventListener("pointerup", (event) => this.#release(event));
    box.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    box.addEventListener("dblclick", () => this.whole());
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `data`: points, timed, step, and (once answered) expected, upper, lower, anomaly (-1, 0, 1), change. */
  show(data) {
    const same = this.data && this.data.points === data.points;
    this.data = data;
    if (!same) { this.first = 0; this.last = data.points.length - 1; this.at = -1; this.onZoom(true); }
    this.draw();
  }

  whole() {
    if (!this.data) return;
    this.zoom(0, this.data.points.length - 1);
  }

  zoom(first, last) {
    const end = this.data.points.length - 1, least = Math.min(end, 8);
    let from = Math.max(0, Math.round(Math.min(first, last))), to = Math.min(end, Math.round(Math.max(first, last)));
    while (to - from < least && (from > 0 || to < end)) { from = Math.max(0, from - 1); to = Math.min(end, to + 1); }
    Object.assign(this, { first: from, last: to });
    this.onZoom(from === 0 && to === end);
    this.draw();
  }

  /** Look at a point; scrolls to it when it is not shown.  What the pointer chose ends when it leaves. */
  move(index, hovered = false) {
    Object.assign(this, { at: index, hovered });
    if (index >= 0 && (index < this.first || index > this.last)) {
      const half = (this.last - this.first) / 2;
      const from = Math.max(0, Math.min(index - half, this.data.points.length - 1 - 2 * half));
      this.zoom(from, from + 2 * half);
    } else this.#cursor();
    this.onMove(index);
  }

  draw() {
    const { width, height } = this.box.getBoundingClientRect();
    if (!this.data || width < 50) return;
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.#scale(width, height);
    this.#axes(svg);
    this.#band(svg);
    const { data } = this;
    if (data.expected) this.#line(svg, "expected", (at) => data.expected[at]);
    this.#line(svg, "value", (at) => data.points[at].value);
    this.#marks(svg, height);
    this.over = element("g", {}, svg);
    this.box.replaceChildren(svg);
    this.#cursor();
  }

  #scale(width, height) {
    const { data, first, last } = this;
    let low = Infinity, high = -Infinity;
    for (let at = first; at <= last; at++) {
      const value = data.points[at].value;
      const most = data.expected ? data.expected[at] + data.upper[at] : value;
      const least = data.expected ? data.expected[at] - data.lower[at] : value;
      low = Math.min(low, value, least);
      high = Math.max(high, value, most);
    }
    if (!(high > low)) { const pad = Math.abs(high) || 1; low -= pad / 2; high += pad / 2; }
    const pad = (high - low) * 0.04;
    Object.assign(this, { low: low - pad, high: high + pad, width, height });
    this.labels = ticks(this.low, this.high, height / 55);
    this.left = 10 + LETTER * Math.max(...this.labels.map((value) => format(value).length));
    const from = data.points[first].at, to = data.points[last].at;
    this.x = (at) => this.left + ((data.points[at].at - from) / (to - from || 1)) * (width - this.left - RIGHT);
    this.y = (value) => TOP + ((this.high - value) / (this.high - this.low)) * (height - TOP - BOTTOM);
  }

  #axes(svg) {
    const { data, first, last, width, height, left } = this;
    for (const value of this.labels) {
      const y = this.y(value);
      element("line", { class: "grid", x1: left, x2: width - RIGHT, y1: y, y2: y }, svg);
      element("text", { class: "label", x: left - 6, y: y + 4, "text-anchor": "end" }, svg).textContent = format(value);
    }
    const text = (at) => timeText(data.points[at].at, data.timed, data.step);
    const wanted = Math.max(2, Math.floor((width - left) / (text(first).length * LETTER + 30)));
    const count = Math.min(wanted, last - first + 1);
    for (let place = 0; place < count; place++) {
      const at = first + Math.round((place * (last - first)) / Math.max(1, count - 1));
      const anchor = place === 0 ? "start" : place === count - 1 ? "end" : "middle";
      element("text", { class: "label", x: this.x(at), y: height - 7, "text-anchor": anchor }, svg).textContent = text(at);
    }
  }

  #band(svg) {
    const { data, first, last } = this;
    if (!data.expected) return;
    let above = "", below = "";
    const every = this.#every();
    for (let at = first; at <= last; at += every) {
      const x = this.x(at).toFixed(1);
      above += `${above ? "L" : "M"}${x} ${this.y(data.expected[at] + data.upper[at]).toFixed(1)}`;
      below = `L${x} ${this.y(data.expected[at] - data.lower[at]).toFixed(1)}${below}`;
    }
    element("path", { class: "band", d: `${above}${below}Z` }, svg);
  }

  #every() {
    return Math.max(1, Math.floor((this.last - this.first) / (this.width * MOST_DRAWN)));
  }

  #line(svg, name, value) {
    let path = "";
    for (let at = this.first; at <= this.last; at += this.#every()) {
      path += `${path ? "L" : "M"}${this.x(at).toFixed(1)} ${this.y(value(at)).toFixed(1)}`;
    }
    element("path", { class: name, d: path }, svg);
  }

  #marks(svg, height) {
    const { data, first, last } = this;
    for (let at = first; at <= last; at++) {
      const x = this.x(at);
      if (data.change?.[at]) element("line", { class: "change", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }, svg);
      const side = data.anomaly?.[at];
      if (!side) continue;
      const y = this.y(data.points[at].value), tip = y - side * 7, base = y + side * 5;
      element("path", { class: `anomaly ${side > 0 ? "high" : "low"}`, d: `M${x} ${tip}L${x + 6} ${base}H${x - 6}Z` }, svg);
    }
  }

  #cursor() {
    if (!this.over) return;
    this.over.replaceChildren();
    if (this.drag !== null && this.at >= 0) {
      const [from, to] = [this.x(this.drag), this.x(this.at)].sort((one, other) => one - other);
      element("rect", { class: "choice", x: from, width: to - from, y: TOP, height: this.height - TOP - BOTTOM }, this.over);
    }
    if (this.at < this.first || this.at > this.last) return;
    const x = this.x(this.at);
    element("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM }, this.over);
    element("circle", { class: "dot", cx: x, cy: this.y(this.data.points[this.at].value), r: 4 }, this.over);
  }

  /** The point nearest to a place on the screen. */
  #near(event) {
    const x = event.clientX - this.box.getBoundingClientRect().left;
    let low = this.first, high = this.last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.x(middle) < x) low = middle; else high = middle;
    }
    return Math.abs(this.x(low) - x) <= Math.abs(this.x(high) - x) ? low : high;
  }

  #hover(event) {
    if (this.data) this.move(this.#near(event), true);
  }

  #press(event) {
    if (!this.data || event.button !== 0) return;
    this.drag = this.#near(event);
    if (event.pointerType === "mouse") this.box.setPointerCapture(event.pointerId);
  }

  #release(event) {
    if (this.drag === null) return;
    const from = this.drag, to = this.#near(event);
    this.drag = null;
    if (Math.abs(this.x(from) - this.x(to)) > 12) this.zoom(from, to); else this.move(to);
  }

  #key(event) {
    if (!this.data || event.ctrlKey || event.altKey || event.metaKey) return;
    const end = this.data.points.length - 1, at = this.at < 0 ? this.first : this.at;
    const jump = Math.max(1, Math.round((this.last - this.first) / 10)), half = (this.last - this.first) / 2;
    const actions = {
      ArrowRight: () => this.move(Math.min(end, this.at + 1)),
      ArrowLeft: () => this.move(Math.max(0, at - 1)),
      PageDown: () => this.move(Math.min(end, at + jump)),
      PageUp: () => this.move(Math.max(0, at - jump)),
      Home: () => this.move(0),
      End: () => this.move(end),
      n: () => this.#anomalyFrom(this.at, 1),
      p: () => this.#anomalyFrom(this.at < 0 ? end + 1 : this.at, -1),
      "+": () => this.zoom(at - half / 2, at + half / 2),
      "-": () => this.zoom(at - half * 2, at + half * 2),
      Escape: () => this.whole(),
    };
    const action = actions[event.key];
    if (action) { action(); event.preventDefault(); }
  }

  #anomalyFrom(start, direction) {
    const marks = this.data.anomaly ?? [];
    for (let at = start + direction; at >= 0 && at < marks.length; at += direction) {
      if (marks[at]) { this.move(at); return; }
    }
  }
}
