// The edits: read from the index, filtered, sorted, grouped. Nothing here touches the page.
"use strict";

(function () {
  const { part } = gallery;
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const NONE = "(none)";

  /** Sort keys: words, and a value per edit. Missing values come last, whatever the direction. */
  const SORTS = {
    manifest: ["Manifest order", null],
    id: ["Id", (c, i) => c.ids[i]],
    cost: ["Cost", (c, i) => c.edits.cost[i]],
    seconds: ["Time", (c, i) => c.edits.seconds[i]],
    attempts: ["Attempts", (c, i) => c.edits.attempts[i]],
    finished: ["Finished", (c, i) => c.edits.finished[i]],
  };

  class Collection {
    constructor(index) {
      this.index = index;
      this.edits = index.edits;
      this.ids = index.edits.id;
      this.count = this.ids.length;
      this.columns = index.columns;
      this.at = new Map(this.ids.map((id, i) => [id, i]));
      this.all = Array.from(this.ids, (_, i) => i);
      this.lowerIds = this.ids.map((id) => id.toLocaleLowerCase("en"));
      this.lower = index.texts.map((text) => text.toLocaleLowerCase("en"));
    }

    text(number) {
      return number >= 0 ? (this.index.texts[number] ?? "") : "";
    }
    status(i) {
      return this.index.statuses[this.edits.status[i]] ?? "";
    }
    reason(i) {
      return this.text(this.edits.reason[i]);
    }
    prompt(i) {
      return this.text(this.edits.prompt[i]);
    }
    column(number, i) {
      return this.text(this.edits.columns[number]?.[i] ?? -1);
    }
    /** The ledger's decision: what was applied, or made on the live page. */
    settled(i) {
      const decision = this.index.decisions[this.edits.decision[i]] ?? "";
      return {
        decision: decision || (this.waits(i) ? "redo" : ""),
        note: this.text(this.edits.note[i]),
      };
    }
    /** The ledger has taken a decision over. */
    settle(i, { decision, note }) {
      const { decisions, texts } = this.index;
      this.edits.decision[i] = Math.max(decisions.indexOf(decision), 0);
      this.edits.note[i] = note ? texts.push(note) - 1 : -1;
      if (note) this.lower.push(note.toLocaleLowerCase("en"));
    }
    /** A redo that the next run asks for; until then it can be taken back. */
    waits(i) {
      return this.status(i) === "pending" && this.reason(i) === "redo";
    }
    /** There is a picture to decide about, or a redo to take back. */
    decidable(i) {
      return this.edits.outputs[i] > 0 || this.waits(i);
    }

    /** The value of a field that can be grouped and filtered by: "status", "column.3", … */
    value(field, i, decisions) {
      if (field === "status") return this.status(i);
      if (field === "reason") return this.reason(i);
      if (field === "prompt") return this.prompt(i);
      if (field === "decision") return decisions.of(i).decision || "undecided";
      const number = this.columns.indexOf(field.slice("column.".length));
      return number < 0 ? "" : this.column(number, i);
    }

    /** A field to group by, whether an address names it in full or not; "" for one unheard of. */
    groupable(name) {
      if (["status", "reason", "decision", "prompt"].includes(name)) return name;
      const column = name.startsWith("column.") ? name.slice("column.".length) : name;
      return this.columns.includes(column) ? `column.${column}` : "";
    }

    /** [value, count] of a field over `among`, most frequent or natural order first. */
    values(field, decisions, among = this.all) {
      const counts = new Map();
      for (const i of among) {
        const value = this.value(field, i, decisions);
        counts.set(value, (counts.get(value) ?? 0) + 1);
      }
      const found = [...counts];
      if (field === "reason") return found.sort((a, b) => b[1] - a[1]);
      const fixed =
        field === "status"
          ? this.index.statuses
          : field === "decision"
            ? ["undecided", "approved", "redo", "rejected", "restore"]
            : null;
      if (fixed) return found.sort((a, b) => fixed.indexOf(a[0]) - fixed.indexOf(b[0]));
      return found.sort((a, b) => order.compare(a[0], b[0]));
    }

    /** The edits that a view shows, in its order. */
    filtered(view, decisions) {
      const words = view.q.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
      const hit = words.map((word) => this.lower.map((text) => text.includes(word)));
      const columns = [...view.columns]
        .map(([name, value]) => [this.columns.indexOf(name), value])
        .filter(([number]) => number >= 0);
      const kept = this.all.filter((i) => {
        if (view.status && this.status(i) !== view.status) return false;
        if (view.reason && this.reason(i) !== view.reason) return false;
        if (view.decision && (decisions.of(i).decision || "undecided") !== view.decision) {
          return false;
        }
        if (view.decision === "undecided" && !this.decidable(i)) return false;
        for (const [number, value] of columns) {
          if (this.column(number, i) !== value) return false;
        }
        for (let w = 0; w < words.length; w += 1) {
          const found =
            this.lowerIds[i].includes(words[w]) ||
            hit[w][this.edits.prompt[i]] ||
            decisions.of(i).note.toLocaleLowerCase("en").includes(words[w]);
          if (!found) return false;
        }
        return true;
      });
      return this.sorted(kept, view.sort);
    }

    sorted(kept, sort) {
      const down = sort.startsWith("-");
      const value = SORTS[down ? sort.slice(1) : sort]?.[1];
      if (!value) return down ? kept.reverse() : kept;
      const keyed = kept.map((i) => [value(this, i), i]);
      keyed.sort(([a, i], [b, j]) => {
        if (a === null || b === null) return (a === null) - (b === null) || i - j;
        const first = typeof a === "string" ? order.compare(a, b) : a - b;
        return (down ? -first : first) || i - j;
      });
      return keyed.map(([, i]) => i);
    }

    /** [{value, edits}] in natural order of the values; one without a heading if not grouped. */
    grouped(shown, field, decisions) {
      if (!field) return [{ value: null, edits: shown }];
      const groups = new Map();
      for (const i of shown) {
        const value = this.value(field, i, decisions) || NONE;
        if (!groups.has(value)) groups.set(value, []);
        groups.get(value).push(i);
      }
      return this.values(field, decisions, shown)
        .map(([value]) => value || NONE)
        .map((value) => ({ value, edits: groups.get(value) }));
    }
  }

  part.Collection = Collection;
  part.SORTS = SORTS;
})();
