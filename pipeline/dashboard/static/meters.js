// Bars and curves.
import { count, make } from "./shared.js";

/** Shares of a whole as a bar. `parts`: [name, value]; it stays as wide as it is. */
export function bar(element, parts, whole) {
  while (element.children.length < parts.length) element.append(make("span"));
  parts.forEach(([name, value], at) => {
    const part = element.children[at];
    part.className = `fill-${name}`;
    part.style.width = whole > 0 ? `${Math.min(100, (100 * value) / whole)}%` : "0";
  });
  return element;
}

export const STATUSES = ["succeeded", "failed", "refused", "rejected", "unknown", "pending"];

/** What the colours of a bar mean, with the numbers. */
export function legend(counts, names = STATUSES) {
  const shown = names.filter((name) => counts[name]);
  return make(
    "p",
    { class: "legend" },
    ...shown.map((name) =>
      make("span", {}, make("i", { class: `fill-${name}` }), `${count(counts[name])} ${name}`),
    ),
  );
}

const SVG = "http://www.w3.org/2000/svg";
const drawn = (name, attributes) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

const WIDTH = 300;
const HEIGHT = 48;

/** The last minutes of a number as a curve. */
export class Spark {
  constructor(title, { seconds = 300 } = {}) {
    this.seconds = seconds;
    this.points = [];
    this.value = make("b", {}, "");
    this.svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.ground = drawn("line", { class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
    this.area = drawn("path", { class: "area" });
    this.curve = drawn("path", { class: "curve" });
    this.limit = drawn("path", { class: "limit" });
    this.svg.append(this.ground, this.area, this.limit, this.curve);
    this.element = make(
      "div",
      { class: "spark" },
      make("div", { class: "line" }, make("span", {}, title), this.value),
      this.svg,
    );
  }

  clear() {
    this.points = [];
  }

  /** `at`: seconds; `limit`: what bounds the value, drawn dashed. */
  add(at, value, words, limit = null) {
    if (this.points.length && at <= this.points.at(-1)[0]) return;
    this.points.push([at, value, limit]);
    while (this.points.length > 2 && this.points[1][0] < at - this.seconds) this.points.shift();
    if (this.value.textContent !== words) this.value.textContent = words;
    this.draw(at);
  }

  draw(now) {
    const most = Math.max(1, ...this.points.map(([, value, limit]) => Math.max(value, limit ?? 0)));
    // A young curve has the room that it needs, and grows into the whole span.
    const span = Math.min(this.seconds, Math.max(60, now - this.points[0][0]));
    const x = (at) => WIDTH - ((now - at) / span) * WIDTH;
    const y = (value) => HEIGHT - (value / most) * (HEIGHT - 4);
    const line = this.points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    const limits = this.points.filter(([, , limit]) => limit !== null);
    this.curve.setAttribute("d", line.length > 1 ? `M${line.join("L")}` : "");
    this.area.setAttribute(
      "d",
      line.length > 1 ? `M${x(this.points[0][0]).toFixed(1)},${HEIGHT}L${line.join("L")}L${WIDTH},${HEIGHT}Z` : "",
    );
    this.limit.setAttribute(
      "d",
      limits.length > 1 ? `M${limits.map(([at, , limit]) => `${x(at).toFixed(1)},${y(limit).toFixed(1)}`).join("L")}` : "",
    );
  }
}
