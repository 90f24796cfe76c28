// The page: what is shown, what a person does, and how the parts hear of it.
"use strict";

(function () {
  const { part } = gallery;
  const { make, button, byId, several } = part;

  const KEPT_FILES = 40; // files of details in memory

  const waiting = new Map(); // file number → those who wait for its details
  const files = new Map();
  let arrived = null;

  // --- data come in through these two

  gallery.index = (index) => (arrived = index);
  gallery.details = function (number, details) {
    files.set(number, details);
    if (files.size > KEPT_FILES) files.delete(files.keys().next().value);
    waiting.get(number)?.(details);
  };

  class Page {
    constructor() {
      this.view = part.viewFrom(location.hash);
      this.deciding = new part.Deciding(this);
      this.grid = new part.Grid(byId("grid"), {
        opened: (i) => this.open(i),
        chosen: () => this.selected(),
      });
      this.loupe = new part.Loupe(byId("loupe"), {
        acts: {
          close: () => this.close(),
          step: (by) => this.step(by),
          decide: (decision) => this.deciding.decide(decision),
          redo: () => this.deciding.redo(),
          note: () => this.deciding.note(),
          restore: (take) => this.deciding.restore(take),
          mode: (name) => this.mode(name),
        },
        details: (i) => this.details(i),
      });
      this.filters = new part.Filters(byId("filters"), {
        change: (parts, options) => this.change({ ...parts, open: "" }, options),
        size: (name) => this.resize(name),
        collapse: (folded) => {
          this.grid.collapseAll(folded);
          this.filters.folded(folded);
        },
      });
      this.loupe.stage.setMode(["side", "blink"].find((m) => m === part.taste("mode", "")) ?? "slider");
      byId("loupe").classList.toggle("plain", part.taste("details", "yes") === "no");
    }

    // --- data

    async start() {
      await this.read(false);
      part.listen(this);
      addEventListener("hashchange", () => this.moved());
      addEventListener("popstate", () => this.moved());
      byId("grid").focus({ preventScroll: true });
    }

    async read(fresh) {
      arrived = null;
      await part.load("index", fresh);
      if (!arrived) throw new Error("the index is cut off");
      if (arrived.version !== 1) throw new Error("this report was made by another version of the program");
      files.clear();
      const collection = new part.Collection(arrived);
      const moved = this.collection && ((i) => collection.at.get(this.collection.ids[i]));
      const decisions = new part.Decisions(collection, (edits) => this.decided(edits));
      if (moved) {
        // The same edits may have other numbers now.
        decisions.inherit(this.decisions, moved);
        this.grid.renumber(moved);
        this.loupe.edit = null;
      }
      Object.assign(this, { collection, decisions });
      const { stale } = decisions;
      if (stale) {
        part.notice(
          "stale",
          `${several(stale, "decision")} kept in this browser ${stale === 1 ? "was" : "were"} about ` +
            "pictures that have been made anew since, and left out.",
        );
      }
      this.filters.size = this.grid.size = part.taste("size", "m").replace(/[^sml]/, "m") || "m";
      this.filters.offer(collection, decisions);
      byId("about").textContent = [arrived.model, part.moment(arrived.generated_at)].filter(Boolean).join(" · ");
      byId("about").title = `Report made ${part.moment(arrived.generated_at)}`;
      byId("numbers").replaceChildren(...part.numbers(arrived));
      document.body.classList.toggle("read-only", decisions.readOnly);
      byId("decided").hidden = !collection.count;
      this.draw();
    }

    /** A promise of an edit's details. */
    details(i) {
      const each = this.collection.index.details_per_file;
      const number = Math.floor(i / each);
      const file = files.get(number);
      if (file?.[i % each]?.id === this.collection.ids[i]) return Promise.resolve(file[i % each]);
      const known = this.loading?.get(number);
      const loading =
        known ??
        new Promise((done, failed) => {
          const name = `details-${String(number).padStart(4, "0")}`;
          waiting.set(number, done);
          part.load(name, Boolean(this.refreshed)).then(() => {
            if (!files.has(number)) failed(new Error(`${name}.js is cut off`));
          }, failed);
        }).finally(() => {
          waiting.delete(number);
          this.loading.delete(number);
        });
      this.loading ??= new Map();
      this.loading.set(number, loading);
      return loading.then((all) => {
        const details = all[i % each];
        if (details?.id !== this.collection.ids[i]) throw new Error("the details do not belong to this index");
        return details;
      });
    }

    // --- what is shown

    get isOpen() {
      return Boolean(this.view.open) && this.view.tab === "review";
    }

    /** Changes the view and its address; `replace`: without a step for Back. */
    change(parts, { replace = false } = {}) {
      this.view = { ...this.view, ...parts };
      const hash = part.hashOf(this.view);
      if ((location.hash || "#") !== hash) {
        if (replace) history.replaceState(null, "", hash);
        else history.pushState(null, "", hash);
      }
      this.draw();
    }

    /** Back, forward, or a new hash in the address. */
    moved() {
      const next = part.viewFrom(location.hash);
      if (part.hashOf(next) === part.hashOf(this.view)) return;
      this.view = next;
      this.draw();
    }

    draw() {
      const { view, collection, decisions } = this;
      view.group = collection.groupable(view.group);
      const review = view.tab === "review";
      byId("review").hidden = !review;
      byId("run").hidden = review;
      byId("tab-review").setAttribute("aria-pressed", review);
      byId("tab-run").setAttribute("aria-pressed", !review);
      const fields = JSON.stringify([view.q, view.status, view.reason, view.decision, view.sort, view.group, [...view.columns]]);
      if (fields !== this.fields || this.shownOf !== collection) {
        const other = this.shownOf && fields !== this.fields;
        this.fields = fields;
        this.shownOf = collection;
        const shown = collection.filtered(view, decisions);
        this.shown = shown;
        this.groups = collection.grouped(shown, view.group, decisions);
        this.grid.collapsed.clear();
        this.filters.folded(false);
        if (other) this.grid.focus = null;
        this.grid.show(collection, decisions, this.groups);
        if (other) this.grid.top();
        this.selected();
      }
      this.filters.show(view, this.shown.length, this.groups);
      this.emptiness();
      this.tally();
      const i = collection.at.get(view.open);
      const open = review && i !== undefined;
      byId("loupe").hidden = !open;
      byId("review").classList.toggle("opened", open);
      if (!open) this.loupe.stage.blink(false);
      if (open) {
        const position = this.grid.place.get(i) ?? this.shown.indexOf(i);
        this.grid.focus = i;
        this.loupe.show(collection, decisions, i, Math.max(position, 0), this.shown.length);
        this.loupe.tell();
      } else if (this.wasOpen) {
        this.loupe.edit = null;
        this.grid.layout();
        this.grid.go(this.grid.focus);
        this.grid.element.focus({ preventScroll: true });
      }
      this.wasOpen = open;
    }

    emptiness() {
      const place = byId("empty");
      const words = part.emptiness(this.collection, this.shown.length);
      place.hidden = !words;
      byId("grid").hidden = !this.shown.length;
      if (!words) return;
      const [title, text, command] = words;
      place.classList.toggle("slim", !title);
      place.replaceChildren(
        ...[
          title ? make("h2", {}, title) : null,
          make("p", {}, text),
          command ? part.command(command) : null,
          title && this.collection.count ? button("Show all", () => this.filters.clear()) : null,
        ].filter(Boolean),
      );
    }

    tally() {
      const counts = this.decisions.counts();
      const meter = byId("meter");
      for (const name of ["approved", "redo", "rejected", "restore"]) {
        meter.querySelector(`.${name}`).style.width = `${(100 * counts[name]) / (counts.edits || 1)}%`;
      }
      meter.setAttribute("aria-valuemax", counts.edits);
      meter.setAttribute("aria-valuenow", counts.decided);
      byId("decided-words").textContent = `${part.count(counts.decided)} of ${part.count(counts.edits)} decided`;
      const mine = this.decisions.mine.size;
      byId("export").disabled = !mine;
      byId("export").textContent = mine ? `Export ${several(mine, "decision")}` : "Export decisions";
    }

    resize(name) {
      part.keepTaste("size", name);
      this.filters.size = this.grid.size = name;
      this.filters.show(this.view, this.shown.length, this.groups);
      this.grid.layout({ anew: true });
      if (this.grid.focus !== null) this.grid.reveal(this.grid.focus);
    }

    // --- going about

    open(i, mode = "") {
      if (i === null || i === undefined) return;
      if (mode) this.mode(mode);
      else if (this.loupe.stage.mode === "blink") this.mode("blink");
      this.change({ open: this.collection.ids[i] });
    }

    close() {
      if (this.view.tab === "run") this.change({ tab: "review" });
      else if (this.isOpen) this.change({ open: "" });
    }

    step(by) {
      if (!this.isOpen) return this.grid.step(by);
      const { flat, place } = this.grid;
      const position = place.get(this.grid.focus) ?? -1;
      const next = flat[Math.min(Math.max(position + by, 0), flat.length - 1)];
      if (next === undefined || next === this.grid.focus) return undefined;
      return this.show(next);
    }

    /** Goes to an edit, in the loupe or in the grid, wherever one is. */
    show(i) {
      if (this.isOpen) this.change({ open: this.collection.ids[i] }, { replace: true });
      else this.grid.go(i);
    }

    mode(name) {
      part.keepTaste("mode", name);
      this.loupe.stage.setMode(name);
    }

    toggleDetails() {
      const plain = byId("loupe").classList.toggle("plain");
      part.keepTaste("details", plain ? "no" : "yes");
    }

    startSearch() {
      this.filters.open(true);
      if (this.isOpen) this.close();
      this.filters.search.focus();
      this.filters.search.select();
    }

    leaveSearch() {
      byId("grid").focus({ preventScroll: true });
    }

    help() {
      part.showHelp([
        [
          "After a decision, go to the next undecided edit",
          this.deciding.advance,
          (on) => {
            this.deciding.advance = on;
            part.keepTaste("advance", on ? "yes" : "no");
          },
        ],
      ]);
    }

    decided(edits) {
      this.grid.refresh(edits);
      this.loupe.dress();
      this.tally();
      this.filters.segments(this.view.decision, this.decisions.counts());
    }

    // --- several at once

    selectAll() {
      this.grid.select(this.shown);
    }

    selected() {
      const bar = byId("selection");
      const number = this.grid.selection.size;
      bar.hidden = !number;
      if (!number) return;
      const act = (words, key, what) => button(words, what, { title: `${words} (${key})`, disabled: this.decisions.readOnly });
      bar.replaceChildren(
        make("strong", {}, `${part.count(number)} selected`),
        act("Approve", "A", () => this.deciding.decide("approved")),
        act("Reject", "X", () => this.deciding.decide("rejected")),
        act("Redo…", "R", () => this.deciding.redo()),
        act("Undecide", "U", () => this.deciding.decide("")),
        ...(number < this.shown.length
          ? [button(`Select all ${part.count(this.shown.length)} shown`, () => this.selectAll(), { class: "quiet" })]
          : []),
        button("Select none", () => this.grid.select([]), { class: "quiet" }),
      );
    }
  }

  const page = new Page();
  byId("tab-review").addEventListener("click", () => page.change({ tab: "review" }));
  byId("tab-run").addEventListener("click", () => page.change({ tab: "run" }));
  byId("export").addEventListener("click", () => page.deciding.export());
  byId("import").addEventListener("click", () => page.deciding.import());
  byId("help").addEventListener("click", () => page.help());
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("grid").focus();
  });

  function broken(error) {
    const place = byId("empty");
    place.hidden = false;
    byId("grid").hidden = true;
    place.replaceChildren(
      make("h2", {}, "This report cannot be shown"),
      make("p", {}, `${error.message}. Keep index.html together with its folders data and thumbs, or make the report again with:`),
      part.command("pipeline report JOB"),
    );
  }

  page.start().catch(broken);

  /** How many edits of each status the page shows; null until it shows any. */
  gallery.counts = () => page.collection?.index.summary.counts ?? null;

  /** Reads the data anew, without losing the place: after a run has gone on. */
  gallery.refresh = async function () {
    page.refreshed = true;
    await page.read(true);
  };
})();
