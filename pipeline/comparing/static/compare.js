// Blind votes over the pictures of several models, and the models side by side. Whose a picture is
// stays sealed in the data until somebody exports, or asks for the names.
(function () {
  "use strict";

  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const PAGE = 30;
  const { make, byId, several, say } = look;
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const opened = (sealed) => JSON.parse(new TextDecoder().decode(bytes(sealed)));

  let data = null;
  let votable = [];
  let at = 0;
  let named = false;
  let drawn = 0;
  let votes = {};
  let memory = true;

  function kept(name, value) {
    const key = `pipeline-compare-${data.key}-${name}`;
    try {
      if (value === undefined) return window.localStorage.getItem(key);
      window.localStorage.setItem(key, value);
    } catch {
      if (memory && value !== undefined) {
        memory = false;
        say("This browser keeps nothing: export your votes before you close the page.");
      }
    }
    return null;
  }

  // --- voting

  function current() {
    return votable[at];
  }

  function draw() {
    const edit = current();
    const bench = byId("bench");
    bench.replaceChildren();
    if (!edit) {
      byId("choices").hidden = true;
      bench.append(
        make("p", { class: "empty-vote" }, "No edit has pictures of two models yet: there is nothing to vote on."),
      );
      return;
    }
    const vote = votes[edit.id];
    byId("which").textContent = `${at + 1} of ${votable.length}`;
    byId("prompt").textContent = edit.prompt;
    if (edit.before.length) {
      const more = edit.before.length > 1 ? `Before (1 of ${edit.before.length})` : "Before";
      bench.append(figure(edit.before[0], "Before", make("span", {}, more)));
    }
    edit.pictures.forEach(([source], n) => {
      const letter = LETTERS[n];
      const button = make("button", { type: "button", id: `choose-${letter}` });
      button.append(`${letter} is best `, make("kbd", {}, letter));
      button.setAttribute("aria-keyshortcuts", letter);
      button.addEventListener("click", () => choose(letter));
      const one = figure(source, `Picture ${letter}`, button);
      one.classList.toggle("chosen", Boolean(vote) && vote.choice === letter);
      button.setAttribute("aria-pressed", String(Boolean(vote) && vote.choice === letter));
      bench.append(one);
    });
    for (const [id, choice] of [["tie", "tie"], ["none", "none"]]) {
      const chosen = Boolean(vote) && vote.choice === choice;
      byId(id).classList.toggle("chosen", chosen);
      byId(id).setAttribute("aria-pressed", String(chosen));
    }
    byId("back").disabled = at === 0;
    byId("skip").disabled = at === votable.length - 1;
    const next = votable[at + 1];
    if (next) for (const [source] of next.pictures) new Image().src = source;
  }

  function figure(source, words, caption) {
    const image = make("img", { src: source, alt: words, decoding: "async", draggable: false });
    return make(
      "figure",
      {},
      make("div", { class: "frame" }, image),
      make("figcaption", {}, caption),
    );
  }

  function choose(choice) {
    const edit = current();
    if (!edit) return;
    if (choice !== "tie" && choice !== "none" && LETTERS.indexOf(choice) >= edit.pictures.length) return;
    votes[edit.id] = { choice, blind: !named, at: new Date().toISOString() };
    changed();
    const before = at;
    toUnvoted();
    if (at === before) draw();
  }

  function takeBack() {
    if (current() && votes[current().id]) {
      delete votes[current().id];
      changed();
      draw();
    }
  }

  function toUnvoted() {
    for (let step = 1; step <= votable.length; step += 1) {
      const place = (at + step) % votable.length;
      if (!votes[votable[place].id]) {
        go(place);
        return;
      }
    }
    say("You have voted on every edit. Export your votes.");
  }

  function go(place) {
    at = Math.max(0, Math.min(votable.length - 1, place));
    draw();
  }

  function changed() {
    kept("votes", JSON.stringify(votes));
    progress();
  }

  function progress() {
    const done = votable.filter((edit) => votes[edit.id]).length;
    const share = votable.length ? (100 * done) / votable.length : 0;
    byId("progress").textContent = `${done} of ${votable.length} voted`;
    byId("meter").setAttribute("aria-valuemax", String(votable.length));
    byId("meter").setAttribute("aria-valuenow", String(done));
    byId("meter-bar").style.width = `${share}%`;
    byId("export").disabled = done === 0;
  }

  // --- the export

  function rows() {
    const names = opened(data.models);
    return votable
      .filter((edit) => votes[edit.id])
      .map((edit) => {
        const vote = votes[edit.id];
        const order = opened(edit.sealed).order.map((n) => names[n]);
        return {
          edit: edit.id,
          choice: vote.choice,
          model: order[LETTERS.indexOf(vote.choice)] || "",
          shown: order.map((name, n) => `${LETTERS[n]}=${name}`).join(";"),
          order,
          blind: vote.blind,
          at: vote.at,
        };
      });
  }

  function cell(text) {
    const value = String(text);
    // A spreadsheet would take it for a formula.
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  function exportVotes() {
    const voter = byId("voter").value.trim();
    const lines = [["edit", "choice", "model", "shown", "voter", "voted_at", "blind"].join(",")];
    for (const row of rows()) {
      const blind = row.blind ? "yes" : "no";
      lines.push(
        [row.edit, row.choice, row.model, row.shown, voter, row.at, blind].map(cell).join(","),
      );
    }
    const blob = new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" });
    const link = make("a", { href: URL.createObjectURL(blob), download: "votes.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
    say(`Exported. Sum up with: pipeline compare ${data.job} --votes votes.csv`);
  }

  // --- the names

  function show(view) {
    byId("vote").hidden = view !== "vote";
    byId("named").hidden = view !== "named";
    byId("tab-vote").setAttribute("aria-pressed", String(view === "vote"));
    byId("tab-named").setAttribute("aria-pressed", String(view === "named"));
    if (view === "named") {
      byId("reveal").hidden = named;
      byId("revealed").hidden = !named;
      if (named) drawNamed();
      else byId("keep").focus();
    }
  }

  function reveal() {
    named = true;
    kept("named", "yes");
    show("named");
  }

  function wilson(count, of) {
    if (!of) return [0, 0, 1];
    const z2 = 1.959964 ** 2;
    const value = count / of;
    const centre = (value + z2 / (2 * of)) / (1 + z2 / of);
    const spread = (value * (1 - value)) / of + z2 / (4 * of * of);
    const half = (1.959964 * Math.sqrt(spread)) / (1 + z2 / of);
    return [value, count ? Math.max(0, centre - half) : 0, count < of ? Math.min(1, centre + half) : 1];
  }

  function range([value, low, high], chance) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "range");
    svg.setAttribute("viewBox", "0 0 160 12");
    svg.setAttribute("aria-hidden", "true");
    const line = (name, from, to) => {
      const node = document.createElementNS(space, "line");
      node.setAttribute("class", name);
      for (const [key, x] of [["x1", from], ["x2", to]]) node.setAttribute(key, String(160 * x));
      for (const key of ["y1", "y2"]) node.setAttribute(key, "6");
      svg.append(node);
    };
    line("", 0, 1);
    line("span", low, high);
    line("chance", Math.max(0, chance - 0.005), chance + 0.005);
    line("value", Math.max(0, value - 0.01), Math.min(1, value + 0.01));
    return svg;
  }

  const percent = (share) => `${Math.round(100 * share)} %`;

  function drawResult(names) {
    const cast = rows();
    const mine = cast.filter((row) => row.blind);
    const box = byId("result");
    box.replaceChildren();
    if (!cast.length) {
      box.append(make("p", { class: "note" }, "There are no votes in this browser yet."));
      return;
    }
    const counted = names.map((name) => {
      const shown = mine.filter((row) => row.order.includes(name));
      const decided = shown.filter((row) => row.model);
      const best = decided.filter((row) => row.model === name).length;
      const chance = decided.reduce((sum, row) => sum + 1 / row.order.length, 0) / (decided.length || 1);
      const ties = shown.filter((row) => row.choice === "tie").length;
      return { name, best, ties, of: decided.length, share: wilson(best, decided.length), chance };
    });
    counted.sort((a, b) => b.share[0] - a.share[0]);
    const head = ["model", "best", "of", "ties", "share", "95 % interval", "drawn"];
    const body = counted.map((one) =>
      make(
        "tr",
        {},
        ...[one.name, one.best, one.of, one.ties, percent(one.share[0])].map((text) =>
          make("td", {}, String(text)),
        ),
        make("td", {}, `${percent(one.share[1])} to ${percent(one.share[2])}`),
        make("td", {}, range(one.share, one.chance)),
      ),
    );
    const left = cast.length - mine.length;
    const aside = left ? ` ${left} cast with the names in view ${left === 1 ? "is" : "are"} left out.` : "";
    box.append(
      make("h2", {}, `Your ${several(mine.length, "blind vote")}`),
      make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name === "drawn" ? make("span", { class: "unseen" }, name) : name)))),
        make("tbody", {}, ...body),
      ),
      make("p", { class: "note" }, `The dashed mark is what chance would give. Votes of several people: pipeline compare ${data.job} --votes a.csv --votes b.csv.${aside}`),
    );
  }

  function drawNamed() {
    const names = opened(data.models);
    drawResult(names);
    byId("rows").replaceChildren();
    drawn = 0;
    drawMore();
  }

  function drawMore() {
    const names = opened(data.models);
    for (const edit of data.edits.slice(drawn, drawn + PAGE)) byId("rows").append(row(edit, names));
    drawn = Math.min(data.edits.length, drawn + PAGE);
    byId("more").textContent = drawn < data.edits.length ? `${drawn} of ${data.edits.length}` : "";
  }

  function row(edit, names) {
    const sealed = opened(edit.sealed);
    const vote = votes[edit.id];
    const won = vote ? sealed.order[LETTERS.indexOf(vote.choice)] : undefined;
    const cells = names.map((name, n) => {
      const place = sealed.order.indexOf(n);
      const told = sealed.of[String(n)];
      const frame = make("div", { class: "frame" });
      const words = make("div", { class: "words" }, make("strong", {}, name));
      if (place >= 0) {
        frame.append(make("img", { src: edit.pictures[place][0], alt: name, loading: "lazy" }));
      } else {
        frame.append(told ? "no picture" : "not asked");
      }
      if (told) {
        const cost = told[1] === null ? "" : ` · ${look.money(told[1])}`;
        const bad = told[0] === "succeeded" ? "" : "bad";
        words.append(make("span", { class: bad, title: told[3] }, `${told[0]}${cost} · ${look.duration(told[2])}`));
      }
      return make("div", { class: n === won ? "cell won" : "cell" }, frame, words);
    });
    if (edit.before.length) {
      const frame = make("div", { class: "frame" });
      frame.append(make("img", { src: edit.before[0], alt: "before", loading: "lazy" }));
      cells.unshift(
        make("div", { class: "cell" }, frame, make("div", { class: "words" }, make("strong", {}, "before"))),
      );
    }
    return make(
      "article",
      { class: "row" },
      make("h3", {}, edit.id),
      make("p", {}, edit.prompt),
      make("div", { class: "cells" }, ...cells),
    );
  }

  // --- keys and buttons

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement || byId("keys").open) return;
    if (event.key === "?") {
      byId("keys").showModal();
      return;
    }
    if (byId("vote").hidden) return;
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    const edit = current();
    const letter = /^[1-9]$/.test(key) ? LETTERS[Number(key) - 1] : key;
    if (edit && letter.length === 1 && LETTERS.slice(0, edit.pictures.length).includes(letter)) choose(letter);
    else if (key === "T") choose("tie");
    else if (key === "N") choose("none");
    else if (key === "ArrowLeft") go(at - 1);
    else if (key === "ArrowRight") go(at + 1);
    else if (key === "U") toUnvoted();
    else if (key === "Z") byId("bench").classList.toggle("large");
    else if (key === "Delete" || key === "Backspace") takeBack();
    else return;
    event.preventDefault();
  }

  function load(given) {
    data = given;
    votable = data.edits.filter((edit) => edit.pictures.length > 1);
    try {
      votes = JSON.parse(kept("votes") || "{}");
    } catch {
      votes = {};
    }
    named = kept("named") === "yes";
    byId("voter").value = kept("voter") || "";
    byId("voter").addEventListener("input", () => kept("voter", byId("voter").value));
    const models = opened(data.models).length;
    byId("about").textContent = `${several(data.edits.length, "edit")} · ${several(models, "model")}`;
    byId("tie").addEventListener("click", () => choose("tie"));
    byId("none").addEventListener("click", () => choose("none"));
    byId("back").addEventListener("click", () => go(at - 1));
    byId("skip").addEventListener("click", () => go(at + 1));
    byId("export").addEventListener("click", exportVotes);
    byId("tab-vote").addEventListener("click", () => show("vote"));
    byId("tab-named").addEventListener("click", () => show("named"));
    byId("keep").addEventListener("click", () => show("vote"));
    byId("show").addEventListener("click", reveal);
    byId("help").addEventListener("click", () => byId("keys").showModal());
    document.addEventListener("keydown", pressed);
    new IntersectionObserver((seen) => {
      if (named && drawn && seen.some((one) => one.isIntersecting)) drawMore();
    }).observe(byId("more"));
    const first = votable.findIndex((edit) => !votes[edit.id]);
    progress();
    go(first < 0 ? 0 : first);
  }

  window.comparison = { load };
})();
