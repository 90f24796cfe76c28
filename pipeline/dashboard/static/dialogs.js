// Questions before something happens: what to start and what it costs, new limits, whether to stop.
import { button, count, make, money, notice, post, say, several } from "./shared.js";

const number = (name, words, properties = {}) =>
  make(
    "label",
    { class: "field" },
    make("span", {}, words),
    make("input", { name, type: "number", min: "1", step: "1", inputMode: "numeric", ...properties }),
  );

/** Shows a form as a dialog; it is gone when it was closed. */
function ask(title, form) {
  const heading = make("h2", { id: "dialog-title" }, title);
  form.prepend(heading);
  const dialog = make("dialog", { "aria-labelledby": "dialog-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const cancel = (words = "Cancel") =>
  button(words, (event) => event.target.closest("dialog").close());

const complaint = () => make("p", { class: "wrong", role: "alert", hidden: true });

/** Does `work` once at a time, with the form's buttons off; errors are shown in `wrong`. */
async function once(form, wrong, work) {
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  const buttons = [...form.querySelectorAll("button.main, button.danger")];
  for (const each of buttons) each.disabled = true;
  wrong.hidden = true;
  try {
    await work();
  } catch (error) {
    wrong.textContent = `${error.message}.`.replace(/\.\.$/, ".");
    wrong.hidden = false;
  } finally {
    delete form.dataset.busy;
    for (const each of buttons) each.disabled = false;
  }
}

const value = (form, name) => form.elements[name]?.value.trim() ?? "";
const numeric = (form, name) => (value(form, name) ? Number(value(form, name)) : undefined);

/** What is asked for: the fields of a wish, those left empty left out. */
function wishOf(form, command, rehearsal) {
  const only = value(form, "only").split(/[\s,]+/).filter(Boolean);
  const wish = { command, only };
  const limit = numeric(form, "limit");
  const most = numeric(form, "max_cost_usd");
  const canary = numeric(form, "canary");
  if (limit !== undefined) wish.limit = limit;
  if (most !== undefined) wish.max_cost_usd = most;
  if (canary !== undefined) wish.canary = canary;
  if (rehearsal) wish.profile = value(form, "profile");
  if (command === "retry") {
    wish.status = [...form.querySelectorAll('[name="status"]:checked')].map((box) => box.value);
    if (value(form, "reason")) wish.reason = value(form, "reason");
  }
  return wish;
}

function priceOf(offer, rehearsal) {
  if (rehearsal) return "Free: a rehearsal";
  if (!offer.plan.requests) return "Nothing to pay";
  const { cap_usd: cap, complete, plan: { cost_usd: cost } } = offer;
  if (cap !== null && (cost === null || cost > cap || !complete)) return `at most ${money(cap)}`;
  if (cost === null) return "Price not known";
  return `${complete ? "" : "at least "}${money(cost)}`;
}

/** A plan in words: what will be asked for, what it costs, how long it takes. */
function planned(offer, rehearsal) {
  const { plan } = offer;
  const states = [
    ["new", "new"],
    ["changed", "changed"],
    ["redo", "to redo"],
    ["again", "failed before, or asked for again"],
    ["unchanged", "done already"],
    ["kept", "refused or rejected before"],
    ["unreadable", "cannot be read"],
  ];
  const lines = states
    .filter(([name]) => plan[name])
    .map(([name, words]) => make("li", {}, make("span", {}, words), make("b", {}, count(plan[name]))));
  const minutes = plan.minutes < 1 ? "less than a minute" : `about ${several(Math.round(plan.minutes), "minute")}`;
  const sum = plan.requests
    ? `${several(plan.requests, "request")}, ${several(plan.pictures, "picture")}, ${minutes}`
    : "Nothing is left to ask for.";
  const notes = [];
  if (!offer.complete) {
    notes.push("There are more edits than could be counted in time; these are those counted so far.");
  }
  if (!rehearsal && offer.cap_usd !== null && plan.requests) {
    const all = plan.cost_usd === null ? "nobody states a price" : `all of it: ${money(plan.cost_usd)}`;
    notes.push(`The run stops before it costs more than ${money(offer.cap_usd)} (${all}).`);
  } else if (!rehearsal && plan.requests) {
    notes.push("There is no cap. Retries that are charged come on top.");
  }
  return make(
    "div",
    { class: "plan" },
    make("div", { class: "price" }, make("span", { class: "big" }, priceOf(offer, rehearsal)), make("span", { class: "soft" }, sum)),
    lines.length ? make("ul", {}, ...lines) : null,
    ...notes.map((words) => make("p", { class: "small soft" }, words)),
    make("p", { class: "command mono" }, offer.command),
  );
}

const STATUSES = ["failed", "refused", "rejected", "unknown"];

/** Options first, then the plan with its price, then the start. `ready` is called when it is. */
export function start(address, { command, rehearsal, job, ready }) {
  const wrong = complaint();
  const shown = make("div", { hidden: true });
  const look = make("button", { class: "main" }, "Look at the plan");
  const go = button("Start", () => once(form, wrong, begin), { class: "main", hidden: true });
  const fields = make(
    "div",
    { class: "fields" },
    number("limit", "At most so many edits", { placeholder: "all" }),
    rehearsal
      ? null
      : number("max_cost_usd", "At most so many dollars", { step: "any", min: "0", inputMode: "decimal", placeholder: job.money.run_cap === null ? "no cap" : String(job.money.run_cap) }),
    command === "run" ? number("canary", "Canary: so many first", { placeholder: "none" }) : null,
    rehearsal
      ? make(
          "label",
          { class: "field" },
          make("span", {}, "How the endpoint behaves"),
          make("select", { name: "profile" }, ...["calm", "realistic", "storm", "demo"].map((name) => make("option", {}, name))),
        )
      : null,
  );
  const only = make("label", { class: "field" }, make("span", {}, "Only these ids"), make("input", { name: "only", placeholder: "all; globs such as shoe-* may be used", autocomplete: "off", spellcheck: false }));
  const again =
    command === "retry"
      ? make(
          "fieldset",
          { class: "field" },
          make("legend", {}, "Edits that were"),
          make("div", { class: "checks" }, ...STATUSES.map((name) => make("label", {}, make("input", { type: "checkbox", name: "status", value: name, checked: Boolean(job.edits[name]) }), `${name} (${count(job.edits[name] ?? 0)})`))),
        )
      : null;
  const reason =
    command === "retry"
      ? make("label", { class: "field" }, make("span", {}, "Only with this error code"), make("input", { name: "reason", placeholder: "any", autocomplete: "off", spellcheck: false }))
      : null;
  const form = make("form", { method: "dialog", noValidate: false }, again, fields, only, reason, shown, wrong, make("div", { class: "row" }, cancel(), look, go));
  let offer = null;

  // Whatever is changed after the plan was shown needs another plan.
  form.addEventListener("input", () => {
    offer = null;
    shown.hidden = true;
    go.hidden = true;
    look.hidden = false;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (offer) once(form, wrong, begin);
    else once(form, wrong, weigh);
  });

  async function weigh() {
    look.textContent = "Counting …";
    try {
      offer = await post(`${address}/plan`, wishOf(form, command, rehearsal));
    } finally {
      look.textContent = "Look at the plan";
    }
    shown.replaceChildren(planned(offer, rehearsal));
    shown.hidden = false;
    look.hidden = true;
    const price = !rehearsal && offer.plan.requests && !priceOf(offer).startsWith("Price") ? ` for ${priceOf(offer, rehearsal)}` : "";
    go.textContent = `Start${price}`;
    go.hidden = !offer.plan.requests && offer.complete;
    setTimeout(() => (go.hidden ? form.querySelector("button") : go).focus(), 0);
  }

  async function begin() {
    const { ticket } = offer;
    offer = null;
    try {
      await post(`${address}/start`, { ticket });
    } catch (error) {
      go.hidden = true;
      look.hidden = false;
      throw error;
    }
    dialog.close();
    notice("action", "");
    say("Started");
    ready();
  }

  const title = { run: rehearsal ? "Rehearse" : "Start a run", retry: "Ask again" };
  const dialog = ask(title[command], form);
}

/** New limits for the run that goes on. */
export function tune(address, live) {
  const wrong = complaint();
  const rate = (name, words) => number(name, words, { step: "any", min: "0.1", inputMode: "decimal", placeholder: "as it is" });
  const form = make(
    "form",
    { method: "dialog" },
    make("p", { class: "soft" }, "For this run only; the job's own limits stay as they are."),
    make(
      "div",
      { class: "fields" },
      number("concurrency", "Requests at once, at most", { value: String(live.stated_concurrency), max: "4096" }),
      rate("requests_per_minute", "Requests a minute"),
      rate("images_per_minute", "Pictures a minute"),
    ),
    make("div", { class: "checks" }, ...[["requests_per_minute", "no limit of requests a minute"], ["images_per_minute", "no limit of pictures a minute"]].map(([name, words]) => make("label", {}, make("input", { type: "checkbox", name: "none", value: name }), words))),
    wrong,
    make("div", { class: "row" }, cancel(), make("button", { class: "main" }, "Tune")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(form, wrong, async () => {
      const changes = {};
      const concurrency = numeric(form, "concurrency");
      if (concurrency !== undefined && concurrency !== live.stated_concurrency) changes.concurrency = concurrency;
      for (const name of ["requests_per_minute", "images_per_minute"]) {
        if (numeric(form, name) !== undefined) changes[name] = numeric(form, name);
      }
      for (const box of form.querySelectorAll('[name="none"]:checked')) changes[box.value] = null;
      if (!Object.keys(changes).length) throw new Error("Nothing is changed yet");
      await post(`${address}/tune`, changes);
      dialog.close();
      say("Tuned, for this run");
    });
  });
  const dialog = ask("Tune this run", form);
}

/** Asks, then lets the run finish what is in flight. */
export function stop(address, live) {
  const wrong = complaint();
  const form = make(
    "form",
    { method: "dialog" },
    make("p", {}, `Nothing new starts. ${several(live.in_flight, "request")} in flight ${live.in_flight === 1 ? "is" : "are"} finished and kept. A later start goes on from there.`),
    wrong,
    make("div", { class: "row" }, cancel("Let it run"), make("button", { class: "danger" }, "Stop the run")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(form, wrong, async () => {
      await post(`${address}/stop`);
      dialog.close();
      say("Stopping: what is in flight is finished and kept");
    });
  });
  const dialog = ask("Stop this run?", form);
}

/** Pause and resume need no question: nothing is lost by either. */
export async function steer(address, action, words) {
  try {
    await post(`${address}/${action}`);
    notice("action", "");
    say(words);
  } catch (error) {
    notice("action", error.message, { bad: true });
  }
}

