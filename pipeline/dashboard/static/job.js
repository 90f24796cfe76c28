// One job: what goes on now, its money, its problems, its runs.
import { ago, button, byId, clock, comingOf, count, duration, fill, get, listen, make, moment, money, notice, range, shortMoment, tell } from "./shared.js";
import { bar, legend, Spark, STATUSES } from "./meters.js";
import { Log } from "./log.js";
import * as dialogs from "./dialogs.js";

const { key, kind, readOnly } = document.body.dataset;
const address = `/api/${kind}/${encodeURIComponent(key)}`;
const rehearsal = kind === "rehearsals";
const mayAct = readOnly !== "yes";

const log = new Log(address, byId("log"), byId("follow"));
let latest = null;
let runs = [];
let shownRuns = "";
let heardOf = "";
let chosenLog = null;

const sparks = { pace: new Spark("Pictures a minute"), flight: new Spark("Requests at once") };
byId("sparks").append(sparks.pace.element, sparks.flight.element);
let sparked = null;

function show(standing) {
  latest = standing;
  const { live, problem } = standing;
  byId("problem").hidden = !problem;
  byId("columns").hidden = Boolean(problem);
  for (const state of [byId("state"), byId("state-here")]) {
    tell(state, standing.state);
    state.className = `state ${standing.tone}`;
    state.hidden = false;
  }
  if (problem) {
    tell(byId("problem-text"), problem);
    return;
  }
  byId("state").hidden = true;
  tell(byId("why"), standing.words);
  byId("coming").hidden = !standing.coming;
  tell(byId("coming"), comingOf(standing));
  showActions(standing);
  showProgress(live);
  showTiles(standing);
  showSparks(live);
  showMoney(standing);
  showEdits(standing);
  showTroubles(standing);
  showEnd(standing.process);
  hear(standing);
  const run = standing.last_run;
  const state = JSON.stringify([run?.id, run?.ended, run?.has_log, live?.run_id, standing.process?.run_id]);
  if (state !== shownRuns) {
    shownRuns = state;
    showRuns();
  }
}

function showActions({ live, process, edits }) {
  const busy = Boolean(live) || (process && process.exit_code === null);
  const again = ["failed", "refused", "rejected", "unknown"].some((status) => edits[status]);
  const stopping = live?.state === "stopping";
  const paused = live?.state === "paused";
  fill(byId("actions"), [mayAct, busy, again, stopping, paused, Boolean(live)], () => {
    if (!mayAct) return [];
    if (live && stopping) return [];
    if (live) {
      return [
        paused
          ? button("Resume", () => dialogs.steer(address, "resume", "It goes on"), { class: "main" })
          : button("Pause", () => dialogs.steer(address, "pause", "Paused: nothing new leaves")),
        button("Tune …", () => dialogs.tune(address, latest.live)),
        button("Stop …", () => dialogs.stop(address, latest.live), { class: "danger" }),
      ];
    }
    if (busy) return [];
    const begin = (command) => dialogs.start(address, { command, rehearsal, job: latest, ready: () => {} });
    return [
      again ? button("Ask again …", () => begin("retry")) : "",
      button(rehearsal ? "Rehearse …" : "Start …", () => begin("run"), { class: "main" }),
    ];
  });
}

function showProgress(live) {
  byId("progress").hidden = !live;
  if (!live) return;
  const of = live.expected === null ? " done" : ` of ${count(live.expected)} done`;
  fill(byId("progress-words"), [live.done, of], () => [make("b", {}, count(live.done)), of]);
  tell(byId("left"), live.left_s && live.state !== "paused" ? range(live.left_s) : "");
  const whole = live.expected ?? Math.max(1, live.done);
  const element = byId("progress-bar");
  bar(element, STATUSES.map((name) => [name, live.counts[name] ?? 0]), whole);
  element.setAttribute("aria-valuemax", String(whole));
  element.setAttribute("aria-valuenow", String(live.done));
  element.setAttribute("aria-valuetext", `${count(live.done)}${of}`);
}

function showTiles({ live }) {
  const tiles = live
    ? [
        ["succeeded", live.counts.succeeded, "succeeded"],
        ["failed", live.counts.failed, "failed"],
        ["refused", (live.counts.refused ?? 0) + (live.counts.rejected ?? 0), "refused"],
        ["unknown", live.counts.unknown, "unknown"],
        ["waiting to retry", live.waiting],
        ["pictures", live.pictures],
        ["in flight", `${live.in_flight} of ${live.concurrency}`],
        ["429s", live.rate_limited],
      ]
    : [];
  byId("tiles").hidden = !tiles.length;
  fill(byId("tiles"), tiles, () =>
    tiles.map(([name, value, colour]) =>
      make(
        "div",
        {},
        make("dt", {}, colour ? make("i", { class: `fill-${colour}` }) : null, name),
        make("dd", { class: value ? "" : "none" }, typeof value === "string" ? value : count(value ?? 0)),
      ),
    ),
  );
}

function showSparks(live) {
  byId("sparks").hidden = !live;
  if (!live) return;
  if (sparked !== live.run_id) {
    sparked = live.run_id;
    sparks.pace.clear();
    sparks.flight.clear();
  }
  const pace = live.pictures_per_minute;
  sparks.pace.add(live.at, pace, pace < 10 ? pace.toFixed(1) : count(Math.round(pace)));
  const most = live.stated_concurrency === live.concurrency ? "" : ` (stated: ${live.stated_concurrency})`;
  sparks.flight.add(live.at, live.in_flight, `${live.in_flight} of ${live.concurrency}${most}`, live.concurrency);
}

function showMoney({ live, money: cash }) {
  const run = live ?? { spent_usd: 0, reserved_usd: 0, unknown_usd: 0, cap_usd: cash.run_cap };
  const state = [cash, live && [live.spent_usd, live.reserved_usd, live.unknown_usd, live.cap_usd]];
  fill(byId("money"), state, () => {
    const line = (words, value, colour) => [
      make("dt", {}, colour ? make("i", { class: `fill-${colour}` }) : null, words),
      make("dd", {}, value),
    ];
    const parts = [];
    if (live) {
      const cap = run.cap_usd;
      const shown = make("div", { class: "bar" });
      bar(shown, [["spent", run.spent_usd], ["reserved", run.reserved_usd], ["unknown", run.unknown_usd]], cap ?? Math.max(run.spent_usd + run.reserved_usd + run.unknown_usd, 1e-9));
      parts.push(
        make("p", {}, make("span", { class: "big" }, money(run.spent_usd)), make("span", { class: "soft" }, cap === null ? " this run, no cap" : ` of ${money(cap)} this run`)),
        shown,
        make("dl", { class: "ledger" }, ...line("set aside for what is in flight", money(run.reserved_usd), "reserved"), ...line("of unknown outcome", money(run.unknown_usd), "unknown")),
      );
    } else {
      parts.push(make("p", {}, make("span", { class: "big" }, money(cash.spent)), make("span", { class: "soft" }, " in all runs")));
    }
    const lines = [];
    if (live) lines.push(...line("all runs", money(cash.spent)));
    lines.push(...line("today, unknown included", cash.day_cap === null ? money(cash.today) : `${money(cash.today)} of ${money(cash.day_cap)}`));
    if (cash.unknown) lines.push(...line("of unknown outcome, all runs", money(cash.unknown), "unknown"));
    lines.push(...line("cap of a run", cash.run_cap === null ? "none" : money(cash.run_cap)));
    if (cash.day_cap === null) lines.push(...line("cap of a day", "none"));
    parts.push(make("dl", { class: "ledger" }, ...lines));
    return parts;
  });
}

function showEdits({ edits }) {
  fill(byId("edits"), edits, () => {
    const total = STATUSES.reduce((sum, name) => sum + (edits[name] ?? 0), 0);
    if (!total) return [make("p", { class: "soft" }, "None has come to an end yet.")];
    const shown = make("div", { class: "bar" });
    bar(shown, STATUSES.map((name) => [name, edits[name] ?? 0]), total);
    return [
      make("p", {}, make("span", { class: "big" }, count(total)), make("span", { class: "soft" }, " in the ledger")),
      shown,
      legend(edits),
      make("p", {}, make("a", { href: `/${kind}/${encodeURIComponent(key)}/gallery/` }, "Look through the pictures")),
    ];
  });
}

function showTroubles({ live, problems, pace }) {
  const now = live ? [...live.troubles].reverse() : [];
  byId("troubles-card").hidden = !now.length && !problems.length && !pace;
  fill(byId("troubles"), [now, problems, pace], () => [
    ...now.map(({ at, text }) =>
      make("li", {}, make("time", { class: "at" }, clock(at)), make("span", {}, text)),
    ),
    live && problems.length ? make("li", { class: "head" }, "In all runs") : "",
    ...problems.map((each) =>
      make(
        "li",
        {},
        make("b", { class: "at" }, `${count(each.count)} ×`),
        make("span", {}, each.error_code ?? "", each.status === "unknown" ? " (outcome unknown)" : ""),
        each.example ? make("span", { class: "example" }, each.example) : null,
      ),
    ),
    pace ? make("li", {}, make("span", { class: "at" }, "pace"), make("span", {}, pace)) : "",
  ]);
}

/** The end of a start that has no run to tell it: it was refused, or it crashed. */
function showEnd(process) {
  const code = process?.exit_code ?? null;
  const told = code !== null && code !== 0 && (process.run_id === null || code === 1 || code < 0);
  if (!told) {
    notice("end", "");
    return;
  }
  const meaning = { 1: "a bug", 2: "nothing was sent", 4: "a fatal error", 6: "another run holds the lock" };
  const words = meaning[code] ?? (code < 0 ? "it was killed" : "it did not start");
  notice("end", `The last start ended with exit code ${code}: ${words}.\n${process.last_words}`.trim(), { bad: true });
}

// Screen readers hear of states and of tenths, not of every number.
function hear({ live, state, words }) {
  const tenth = live?.expected ? Math.floor((10 * live.done) / live.expected) : 0;
  const now = `${state} ${tenth}`;
  if (now === heardOf) return;
  if (heardOf) tell(byId("heard"), live?.expected ? `${state}: ${live.done} of ${live.expected} done` : `${state}. ${words}`);
  heardOf = now;
}

async function showRuns() {
  try {
    runs = await get(`${address}/runs`);
  } catch (error) {
    notice("runs", error.message, { bad: true });
    return;
  }
  notice("runs", "");
  const place = byId("history");
  if (!runs.length) {
    place.replaceChildren(make("p", { class: "empty" }, rehearsal ? "No rehearsal yet. It costs nothing." : "No run yet."));
    byId("log-card").hidden = true;
    return;
  }
  const head = ["started", "took", "outcome", "edits", "cost", "log"].map((words, at) =>
    make("th", { scope: "col", class: ["", "n optional", "", "n", "n", "n"][at] }, words === "log" ? make("span", { class: "unseen" }, words) : words),
  );
  place.replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...runs.flatMap(rowOf))),
  );
  const live = latest?.live?.run_id;
  const run = runs.find(({ id }) => id === chosenLog) ?? runs.find(({ has_log: has }) => has);
  const logged = runs.find(({ id }) => id === live && runs[0].has_log) ?? run;
  byId("log-card").hidden = !logged?.has_log;
  if (logged?.has_log) showLog(logged);
}

function showLog(run) {
  byId("log-card").hidden = false;
  tell(byId("log-title"), `Log of ${moment(run.started_at)}`);
  log.show(run.id);
}

const TONES = { finished: "good", interrupted: "warn", declined: "warn", budget: "warn", guarded: "warn", fatal: "bad" };

function rowOf(run) {
  const { totals } = run;
  const going = run.id === latest?.live?.run_id;
  const tone = going ? "busy" : run.ended === null ? "bad" : run.ended === "finished" && run.exit_code ? "warn" : TONES[run.ended] ?? "idle";
  const words = going ? "going on" : run.ended === null ? "no end recorded" : { budget: "stopped at a cap", guarded: "guard rail", fatal: "stopped", process_ended: "cut off" }[run.ended] ?? run.ended;
  const asked = ["succeeded", "failed", "refused", "rejected", "unknown"];
  const counts = asked.filter((name) => totals[name]).map((name) => `${count(totals[name])} ${name}`);
  const took = run.finished_at === null ? null : run.finished_at - run.started_at;
  const row = make(
    "tr",
    {},
    make("td", { title: `run ${run.id}` }, shortMoment(run.started_at), make("span", { class: "why" }, ago(run.started_at))),
    make("td", { class: "n optional" }, duration(took)),
    make("td", {}, make("span", { class: `state ${tone}` }, words), run.exit_code ? make("span", { class: "why" }, `exit code ${run.exit_code}`) : null),
    make("td", { class: "n" }, ...lines(counts, run.ended === null ? "–" : run.exit_code ? "nothing done" : "nothing to do")),
    make("td", { class: "n" }, totals.cost_usd === undefined ? "–" : money(totals.cost_usd)),
    make("td", { class: "n" }, run.has_log ? button("Log", () => {
      chosenLog = run.id;
      showLog(run);
      byId("log-card").scrollIntoView({ block: "nearest" });
    }, { class: "plain", "aria-label": `Log of ${moment(run.started_at)}` }) : null),
  );
  const more = (text) => make("tr", { class: "more" }, make("td", { colSpan: 6 }, make("span", { class: "why" }, text)));
  return [row, ...(run.different.length ? [more(run.different.join(", "))] : []), ...(run.error ? [more(run.error)] : [])];
}

const lines = (words, otherwise) =>
  words.length ? words.map((each) => make("div", {}, each)) : [otherwise];

listen(`${address}/events`, show);
