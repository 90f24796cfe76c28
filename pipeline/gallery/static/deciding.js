// What a person does with the edits before them: decide, ask for a redo, take back, export, import.
"use strict";

(function () {
  const { part } = gallery;
  const { make, several } = part;

  const DONE = { approved: "Approved", rejected: "Rejected", redo: "Will be redone:", "": "Undecided:" };
  const VERBS = { approved: "Approve", rejected: "Reject", redo: "Redo", "": "Undecide" };
  const PROBLEMS = 12;

  class Deciding {
    /** `page` knows what is shown, in focus and selected, and keeps the decisions. */
    constructor(page) {
      this.page = page;
      this.advance = part.taste("advance", "yes") === "yes";
    }

    get decisions() {
      return this.page.decisions;
    }

    /** The edits that a decision is about. */
    get concerned() {
      const { grid, isOpen, shown } = this.page;
      if (!isOpen && grid.selection.size) return grid.flat.filter((i) => grid.selection.has(i));
      return grid.focus === null || !shown.length ? [] : [grid.focus];
    }

    /** The id of an edit, or how many they are. */
    named(edits) {
      return edits.length > 1 ? several(edits.length, "edit") : this.page.collection.ids[edits[0]];
    }

    async decide(decision, { note, mode = "append", edits = this.concerned } = {}) {
      if (!edits.length || this.decisions.readOnly) return;
      const able = edits.filter((i) => this.page.collection.decidable(i));
      if (!able.length) {
        const words = edits.length > 1 ? "None of these has a picture" : "There is no picture";
        part.say(`${words} to decide about.`);
        return;
      }
      if (edits.length > 1 && note === undefined && !(await this.sure(able, edits, decision))) return;
      const now = this.decisions.of(able[0]);
      // Pressing a key twice does not lose the note.
      const kept = able.length === 1 && now.decision === decision ? now.note : "";
      this.decisions.decide(able, decision, note ?? kept, mode);
      part.say(`${DONE[decision]} ${this.named(able)}`, ["Undo", () => this.undo()]);
      if (edits.length > 1) this.page.grid.select([]);
      else if (decision && this.advance) this.next();
    }

    sure(able, edits, decision) {
      const verb = VERBS[decision];
      const without = edits.length - able.length;
      const words = without
        ? `${several(without, "other")} you have selected ${without === 1 ? "has" : "have"} no picture and will be left out.`
        : "You can take this back with Ctrl+Z.";
      return part.confirm(
        `${verb} ${several(able.length, "edit")}?`,
        words,
        `${verb} ${part.count(able.length)}`,
      );
    }

    /** To the next undecided edit of the view; from the last one round to the first. */
    next() {
      const { grid, collection } = this.page;
      const { flat, place } = grid;
      const from = place.get(grid.focus) ?? 0;
      for (let k = 1; k < flat.length; k += 1) {
        const i = flat[(from + k) % flat.length];
        if (collection.decidable(i) && !this.decisions.of(i).decision) {
          this.page.show(i);
          return;
        }
      }
      part.say("Every edit in this view is decided.", ["Undo", () => this.undo()]);
    }

    /** Takes an earlier picture of the edit in focus back; said again, leaves it where it is. */
    restore(take) {
      const { decisions, grid } = this.page;
      const i = grid.focus;
      const now = decisions.of(i);
      const again = now.decision === "restore" && now.take === take.number;
      decisions.restore(i, again ? null : take);
      if (decisions.live && !again) return; // what comes of it is said then
      const words = again ? "The picture stays" : `Take ${take.number} will be taken back`;
      part.say(`${words}: ${this.named([i])}`, ["Undo", () => this.undo()]);
    }

    async redo() {
      const edits = this.concerned.filter((i) => this.page.collection.decidable(i));
      if (!edits.length || this.decisions.readOnly) {
        await this.decide("redo");
        return;
      }
      const now = this.decisions.of(edits[0]);
      const again = edits.length === 1 && now.decision === "redo";
      const asked = await part.askNote(`Redo ${this.named(edits)}`, {
        redo: true,
        prompts: [...new Set(edits.map((i) => this.page.collection.prompt(i)))],
        note: again ? now.note : "",
        mode: again ? now.mode : "append",
        yes: edits.length > 1 ? `Redo ${part.count(edits.length)}` : "Redo",
      });
      if (asked) await this.decide("redo", { ...asked, edits });
    }

    async note() {
      const edits = this.concerned.filter((i) => !["", "restore"].includes(this.decisions.of(i).decision));
      if (!edits.length || this.decisions.readOnly) {
        part.say("Decide first: a note belongs to a decision.");
        return;
      }
      const now = this.decisions.of(edits[0]);
      if (now.decision === "redo") {
        await this.redo();
        return;
      }
      const title = now.decision === "rejected" ? "Why rejected" : "Note";
      const asked = await part.askNote(`${title}: ${this.named(edits)}`, {
        redo: false,
        prompts: [],
        note: now.note,
        yes: "Save",
      });
      if (!asked) return;
      for (const decision of new Set(edits.map((i) => this.decisions.of(i).decision))) {
        const these = edits.filter((i) => this.decisions.of(i).decision === decision);
        this.decisions.decide(these, decision, asked.note);
      }
      part.say("Note saved.", ["Undo", () => this.undo()]);
    }

    undo() {
      const edits = this.decisions.undo();
      if (!edits.length) {
        part.say("There is nothing to take back.");
        return;
      }
      part.say(`Taken back: ${this.named(edits)}`);
      if (edits.length === 1) this.page.show(edits[0]);
    }

    // --- files

    async export() {
      const number = this.decisions.mine.size;
      const table = new Blob([this.decisions.csv()], { type: "text/csv;charset=utf-8" });
      const address = URL.createObjectURL(table);
      make("a", { href: address, download: "decisions.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      this.decisions.exported = true;
      await part.afterExport(this.page.collection.index, number);
    }

    async import() {
      const text = await part.askFile();
      if (text === null) return;
      try {
        const { taken, older, problems } = this.decisions.take(text);
        if (problems.length) {
          const shown = problems.slice(0, PROBLEMS);
          if (problems.length > PROBLEMS) shown.push(`and ${problems.length - PROBLEMS} more`);
          await part.tell("Nothing was imported", shown);
          return;
        }
        const left = older.length ? ` ${several(older.length, "row")} about older pictures left out.` : "";
        const back = taken ? ["Undo", () => this.undo()] : null;
        part.say(`Imported ${several(taken, "decision")}.${left}`, back);
      } catch (error) {
        await part.tell("Nothing was imported", [`This is no decisions.csv: ${error.message}.`]);
      }
    }
  }

  part.Deciding = Deciding;
})();
