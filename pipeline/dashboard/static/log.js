// The log of one run: read in parts, until its process has written its last line.
import { clock, count, duration, get, make, money } from "./shared.js";

const EVERY_MS = 1500;
const MOST_LINES = 2000;

const pause = () => new Promise((over) => setTimeout(over, EVERY_MS));

export class Log {
  constructor(address, place, follow) {
    this.address = address;
    this.place = place;
    this.follow = follow;
    this.shown = { run: null };
  }

  /** Shows the log of this run in place of another's. One reader per log: a second one would show
   * its lines twice. */
  async show(run) {
    if (run === this.shown.run) return;
    const shown = (this.shown = { run, next: null, whole: false });
    this.place.replaceChildren();
    for (;;) {
      const more = await this.read(shown);
      if (this.shown !== shown || shown.whole) return;
      if (!more) await pause();
    }
  }

  /** Reads a part; whether more of it is there already. */
  async read(shown) {
    const from = shown.next === null ? "" : `?from=${shown.next}`;
    let part = null;
    try {
      part = await get(`${this.address}/runs/${encodeURIComponent(shown.run)}/log${from}`);
    } catch {
      return false; // the page says that the server is away; the log goes on when it is back
    }
    if (this.shown !== shown) return false;
    if (part.size < shown.next) { // of several models: it has got a file of its own
      shown.next = null;
      this.place.replaceChildren();
      return true;
    }
    shown.next = part.next;
    this.add(part.text);
    const more = Boolean(part.text) && part.next < part.size;
    shown.whole = !more && !part.grows;
    return more;
  }

  add(text) {
    if (!text) return;
    const lines = text.split("\n").filter(Boolean).map(lineOf);
    this.place.append(...lines.filter((line) => line !== null));
    while (this.place.children.length > MOST_LINES) this.place.firstChild.remove();
    if (this.follow.checked) this.place.scrollTop = this.place.scrollHeight;
  }
}

/** A line as a person reads it: its time and what happened. `null`: nothing to see. */
function lineOf(text) {
  let said = null;
  if (text.startsWith("{")) {
    try {
      said = JSON.parse(text);
    } catch {
      // Cut off, or no JSON after all: shown as it is.
    }
  }
  if (!said || typeof said.event !== "string") return make("div", { class: "raw" }, text);
  const { ts, event, ...values } = said;
  const words = wordsOf(event, values);
  if (!words) return null;
  const at = typeof ts === "number" ? ts : Date.parse(ts) / 1000;
  return make("div", {}, make("time", {}, Number.isFinite(at) ? clock(at) : ""), make("span", {}, ...words));
}

const plain = (values) =>
  Object.entries(values)
    .filter(([, value]) => value !== null && typeof value !== "object")
    .slice(0, 8)
    .map(([name, value]) => `${name}=${value}`)
    .join("  ");

const counted = (counts) =>
  Object.entries(counts ?? {})
    .map(([name, value]) => `${count(value)} ${name}`)
    .join(", ");

/** What a person wants to read of an event; the file has the rest. */
function wordsOf(event, values) {
  const { edit_id: edit, seconds, cost_usd: cost, error_message: error } = values;
  const took = typeof seconds === "number" ? duration(seconds) : "";
  switch (event) {
    case "snapshot":
    case "attempt_ended":
      return null;
    case "planned":
      return values.complete ? [`counted: ${counted(values.counts)}`] : null;
    case "run_started":
      return [`run ${values.run_id} begins: ${values.model} at ${values.endpoint}`];
    case "run_ended":
      return [`${values.ended}, exit code ${values.exit_code}`, values.error ? `: ${values.error}` : ""];
    case "edit_finished":
      return [
        make("b", { class: values.status }, values.status),
        ` ${edit}, ${took}`,
        typeof cost === "number" ? `, ${money(cost)}` : "",
        values.attempts > 1 ? `, ${values.attempts} attempts` : "",
        error ? `: ${error}` : "",
      ];
    default: {
      const told = ["line", "reason", "message", "error", "text"].find((name) => typeof values[name] === "string");
      const about = edit ? `${edit}: ` : "";
      return [make("span", { class: "event" }, `${event.replaceAll("_", " ")}  `), about + (told ? values[told] : plain(values))];
    }
  }
}
