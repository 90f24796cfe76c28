// The list of jobs.
import { ago, byId, comingOf, count, fill, listen, make, money, range, several, tell } from "./shared.js";
import { bar, legend, STATUSES } from "./meters.js";

const rows = new Map();
let states = new Map();

function progressOf(live) {
  const of = live.expected === null ? "" : ` of ${count(live.expected)}`;
  const left = live.left_s ? `, ${range(live.left_s)}` : "";
  return `${count(live.done)}${of} done${left}`;
}

class Row {
  constructor() {
    this.title = make("a", { class: "title" });
    this.state = make("span", { class: "state" });
    this.model = make("span", { class: "soft small" });
    this.words = make("p");
    this.bar = make("div", { class: "bar" });
    this.legend = make("div");
    this.problem = make("pre", { hidden: true });
    this.spent = make("b");
    this.today = make("span", { class: "caps soft small" });
    this.ran = make("span", { class: "soft small" });
    this.next = make("span", { class: "soft small" });
    this.other = make("p", { class: "other", hidden: true });
    this.element = make(
      "li",
      { class: "job" },
      make(
        "div",
        { class: "who" },
        this.title,
        make("div", { class: "line" }, this.state, this.ran),
        this.model,
        this.next,
      ),
      make("div", { class: "what" }, this.words, this.problem, this.bar, this.legend),
      make("div", { class: "money" }, this.spent, this.today),
      this.other,
    );
  }

  show({ job, rehearsal }, now) {
    const { live, money: cash } = job;
    this.title.href = `/jobs/${encodeURIComponent(job.key)}`;
    tell(this.title, job.name);
    tell(this.state, job.state);
    this.state.className = `state ${job.tone}`;
    tell(this.model, job.model || job.file);
    tell(this.ran, job.last_run ? ago(live ? live.started_at : job.last_run.started_at, now) : "");
    tell(this.next, comingOf(job));
    tell(this.words, live ? progressOf(live) : job.words);
    this.words.title = live ? live.why : "";
    this.problem.hidden = !job.problem;
    tell(this.problem, job.problem ?? "");
    this.element.classList.toggle("wide-problem", Boolean(job.problem));
    const counts = live ? live.counts : job.edits;
    const total = live?.expected ?? STATUSES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
    // What a stopped run left undone is not counted here: a full bar would say that nothing is.
    this.bar.hidden = !total || !(live || job.state.startsWith("done"));
    bar(this.bar, STATUSES.map((name) => [name, counts[name] ?? 0]), total);
    fill(this.legend, counts, () => [legend(counts)]);
    const known = !job.problem;
    tell(this.spent, known && cash.spent ? money(cash.spent) : "");
    const caps = [];
    if (known && cash.today) caps.push(`${money(cash.today)} today${cash.day_cap === null ? "" : ` of ${money(cash.day_cap)}`}`);
    else if (known && cash.day_cap !== null) caps.push(`cap ${money(cash.day_cap)} a day`);
    if (live && live.cap_usd !== null) caps.push(`run: ${money(live.spent_usd)} of ${money(live.cap_usd)}`);
    fill(this.today, caps, () => caps.map((words) => make("span", {}, words)));
    const rehearsed = rehearsal && (rehearsal.last_run || rehearsal.live || rehearsal.process);
    this.other.hidden = !rehearsed;
    if (rehearsed) {
      const words = rehearsal.live ? progressOf(rehearsal.live) : rehearsal.words;
      fill(this.other, [rehearsal.state, rehearsal.tone, words, job.key], () => [
        make("a", { href: `/rehearsals/${encodeURIComponent(job.key)}` }, "Rehearsal"),
        make("span", { class: `state ${rehearsal.tone}` }, rehearsal.state),
        make("span", {}, words),
      ]);
    }
  }
}

function show(listed) {
  const now = Date.now() / 1000;
  const list = byId("jobs");
  const seen = new Set();
  listed.forEach((each, at) => {
    const { key } = each.job;
    seen.add(key);
    if (!rows.has(key)) rows.set(key, new Row());
    const row = rows.get(key);
    row.show(each, now);
    if (list.children[at] !== row.element) list.insertBefore(row.element, list.children[at] ?? null);
  });
  for (const [key, row] of rows) {
    if (seen.has(key)) continue;
    row.element.remove();
    rows.delete(key);
  }
  byId("empty").hidden = listed.length > 0;
  byId("sum").hidden = !listed.length;
  const jobs = listed.map(({ job }) => job);
  const running = jobs.filter((job) => job.live || job.tone === "busy").length;
  const bad = jobs.filter((job) => job.tone === "bad").length;
  const today = jobs.reduce((sum, job) => sum + job.money.today, 0);
  fill(byId("sum"), [jobs.length, running, bad, today], () => [
    make("span", {}, make("b", {}, count(jobs.length)), jobs.length === 1 ? " job" : " jobs"),
    make("span", {}, make("b", {}, count(running)), " running"),
    bad ? make("span", { class: "wrong" }, `${several(bad, "needs", "need")} you`) : "",
    make("span", {}, make("b", {}, money(today)), " today"),
  ]);
  announce(jobs);
}

// Screen readers hear of changes of state, not of every number.
function announce(jobs) {
  const now = new Map(jobs.map((job) => [job.key, job.state]));
  const changed = jobs.filter((job) => states.has(job.key) && states.get(job.key) !== job.state);
  if (changed.length) tell(byId("heard"), changed.map((job) => `${job.name}: ${job.state}`).join(". "));
  states = now;
}

listen("/api/events", show);
