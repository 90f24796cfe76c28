// One edit, large: its pictures, the decision, and everything the ledger knows about it.
"use strict";

(function () {
  const { part } = gallery;
  const { make, button } = part;

  const MODES = [
    ["slider", "Slider", "1"],
    ["side", "Side by side", "2"],
    ["blink", "Blink", "3"],
  ];

  class Loupe {
    /** `acts`: {close, step(by), decide(decision), redo, note, restore(take), mode(name)}, done by the page.
     * `details(edit)` gives a promise of an edit's details. */
    constructor(element, { acts, details }) {
      this.element = element;
      this.details = details;
      this.acts = acts;
      this.edit = null;
      this.stage = new part.Stage({ moded: () => this.tell() });
      this.name = make("h2", { tabIndex: -1 });
      this.where = make("span", { class: "where" });
      this.modes = MODES.map(([mode, words, key]) =>
        button(words, () => acts.mode(mode), { "data-mode": mode, "aria-keyshortcuts": key, title: `${words} (${key})` }),
      );
      this.zoom = button("Zoom", () => this.stage.zoom(), { class: "zoom", title: "Zoom (Z)", "aria-keyshortcuts": "Z" });
      this.auto = button("Pause", () => this.pause(), { class: "auto", hidden: true });
      this.befores = make("div", { class: "choice", role: "group", "aria-label": "Picture before" });
      this.afters = make("div", { class: "choice", role: "group", "aria-label": "Picture after" });
      this.decisions = this.decisionBar();
      this.aside = make("aside", { "aria-label": "About this edit" });
      element.append(
        make(
          "div",
          { class: "bar" },
          button("Grid", acts.close, { class: "close", title: "Back to the grid (G)", "aria-keyshortcuts": "G" }),
          make(
            "div",
            { class: "steps" },
            button("‹", () => acts.step(-1), { "aria-label": "Previous edit", title: "Previous (←)", class: "icon" }),
            button("›", () => acts.step(1), { "aria-label": "Next edit", title: "Next (→)", class: "icon" }),
          ),
          this.name,
          this.where,
          make("div", { class: "modes", role: "group", "aria-label": "How to compare" }, ...this.modes),
          this.auto,
          this.zoom,
        ),
        make("div", { class: "table" }, this.stage.element, make("div", { class: "choices" }, this.befores, this.afters), this.decisions),
        this.aside,
      );
    }

    decisionBar() {
      const { decide, redo, note } = this.acts;
      const one = (name, words, key, act) =>
        button("", act, { "data-decision": name, "aria-keyshortcuts": key, title: `${words} (${key})` });
      const bar = make(
        "div",
        { class: "decisions", role: "group", "aria-label": "Decision" },
        one("approved", "Approve", "A", () => decide("approved")),
        one("rejected", "Reject", "X", () => decide("rejected")),
        one("redo", "Redo…", "R", redo),
        one("", "Undecide", "U", () => decide("")),
        one("note", "Note…", "N", note),
      );
      const words = ["Approve", "Reject", "Redo…", "Undecide", "Note…"];
      [...bar.children].forEach((made, k) => {
        const sign = part.SIGNS[made.dataset.decision];
        if (sign) made.append(make("span", { class: "sign", "aria-hidden": "true" }, sign));
        made.append(words[k], make("kbd", {}, made.getAttribute("aria-keyshortcuts")));
      });
      return bar;
    }

    /** Shows an edit; `position` of `total` in the view. */
    async show(collection, decisions, i, position, total) {
      const other = this.edit !== i;
      Object.assign(this, { collection, decisions, edit: i });
      this.name.textContent = collection.ids[i];
      this.where.textContent = `${part.count(position + 1)} of ${part.count(total)}`;
      this.dress();
      if (other) {
        // What was in focus there goes away.
        if (this.aside.contains(document.activeElement)) this.name.focus({ preventScroll: true });
        this.chosen = [0, 0];
        this.known = null;
        // The previews of the index at once; the rest comes with the details.
        this.pictures([preview(collection.edits.before[i])], [preview(collection.edits.after[i])]);
        this.aside.replaceChildren(this.head(), make("p", { class: "hint" }, "Loading the details…"));
        this.aside.scrollTop = 0;
      }
      try {
        const details = await this.details(i);
        if (this.edit !== i) return;
        if (details !== this.known) this.tellAll(details);
      } catch (error) {
        if (this.edit !== i) return;
        this.aside.replaceChildren(
          this.head(),
          make("p", { class: "problem" }, `${error.message}. Make the report again to see the details.`),
          button("Try again", () => this.show(collection, decisions, i, position, total)),
        );
      }
    }

    tellAll(details) {
      this.known = details;
      const takes = details.takes.flatMap((take) =>
        (take.outputs ?? []).map((output) => ({ ...output, words: `Take ${take.number}` })),
      );
      const inputs = details.inputs.map((input, k, all) => ({
        ...input,
        words: all.length > 1 ? `Input ${k + 1}` : "Input",
      }));
      const outputs = details.outputs.map((output, k) => ({ ...output, words: `Result ${k + 1}` }));
      this.pictures([...inputs, ...takes], outputs);
      this.aside.replaceChildren(this.head(), ...part.about(this.collection, this.edit, details, this.acts.restore));
      this.dress();
    }

    pictures(befores, afters) {
      this.all = [befores.filter(Boolean), afters.filter(Boolean)];
      this.choices(this.befores, 0);
      this.choices(this.afters, 1);
      this.draw();
    }

    choices(place, side) {
      const pictures = this.all[side];
      place.replaceChildren();
      place.hidden = pictures.length < 2;
      if (place.hidden) return;
      pictures.forEach((picture, k) => {
        const address = part.thumb(picture.thumb);
        place.append(
          button(
            "",
            () => {
              this.chosen[side] = k;
              this.choices(place, side);
              this.draw(true);
            },
            { "aria-pressed": this.chosen[side] === k, title: picture.name ?? picture.words },
          ),
        );
        place.lastChild.append(
          address ? make("img", { src: address, alt: "", draggable: false }) : make("em", {}, "–"),
          make("span", {}, picture.words),
        );
      });
    }

    draw(keep = false) {
      const [before, after] = this.all.map((pictures, side) => pictures[this.chosen[side]] ?? null);
      const id = this.collection.ids[this.edit];
      const alt = (picture, words) => picture && { ...picture, alt: `${id}, ${picture.words ?? words}` };
      const same = this.drawn?.edit === this.edit;
      const unchanged = same && sameShown(this.drawn.before, before) && sameShown(this.drawn.after, after);
      this.drawn = { edit: this.edit, before, after };
      if (unchanged) return;
      this.stage.show(alt(before, "before"), alt(after, "after"), {
        nothing: this.nothing(),
        none: this.known ? "There is no picture before." : "",
        keep: keep || same,
      });
    }

    nothing() {
      const status = this.collection.status(this.edit);
      const reason = this.collection.reason(this.edit).replaceAll("_", " ");
      if (this.collection.waits(this.edit)) return "The next run makes this picture anew.";
      if (this.collection.decidable(this.edit)) return "There is no preview of this picture.";
      return `No picture: ${[status, reason].filter(Boolean).join(", ")}.`;
    }

    head() {
      const { collection, decisions, edit } = this;
      const status = collection.status(edit);
      const reason = collection.reason(edit).replaceAll("_", " ");
      const said = decisions.of(edit);
      const { decision, note } = said;
      this.told = make(
        "div",
        { class: "told" },
        make("p", { class: "status", "data-status": status }, [status, reason].filter(Boolean).join(": ")),
        decision ? make("p", { class: "decision", "data-decision": decision }, `${part.SIGNS[decision]} ${part.worded(said)}`) : null,
        note ? make("p", { class: "note" }, note) : null,
      );
      return this.told;
    }

    /** The decision has changed, or whether one can be made. */
    dress() {
      if (this.edit === null) return;
      const { decision, take } = this.decisions.of(this.edit);
      const possible = this.collection.decidable(this.edit) && !this.decisions.readOnly;
      for (const one of this.decisionButtons()) {
        one.disabled = !possible || (one.dataset.decision === "note" && ["", "restore"].includes(decision));
        if (["approved", "rejected", "redo"].includes(one.dataset.decision)) {
          one.setAttribute("aria-pressed", one.dataset.decision === decision);
        }
      }
      for (const one of this.aside.querySelectorAll("button[data-take]")) {
        one.setAttribute("aria-pressed", decision === "restore" && Number(one.dataset.take) === take);
      }
      this.element.dataset.decision = decision;
      if (this.told?.isConnected) this.told.replaceWith(this.head());
    }

    decisionButtons() {
      return this.element.querySelectorAll(".decisions button");
    }

    pause() {
      this.stage.blink(!this.stage.blinking);
      this.tell();
    }

    /** The buttons say how pictures are compared. */
    tell() {
      for (const one of this.modes) {
        one.setAttribute("aria-pressed", one.dataset.mode === this.stage.mode);
      }
      this.auto.hidden = this.stage.mode !== "blink";
      this.auto.textContent = this.stage.blinking ? "Pause" : "Blink by itself";
      const percent = Math.round((this.stage.zoomed / this.stage.actual) * 100);
      this.zoom.textContent = this.stage.zoomed > 1.01 ? `${percent} %` : "Fit";
    }
  }

  const preview = (thumb) => (thumb ? { thumb, src: "" } : null);
  const sameShown = (a, b) => a?.thumb === b?.thumb && a?.src === b?.src;

  part.Loupe = Loupe;
})();
