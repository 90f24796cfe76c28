// What a person decided: kept in this browser until it is exported, or sent to the page's server.
"use strict";

(function () {
  const { part } = gallery;
  const WORDS = ["approved", "rejected", "redo", "restore"];
  const SEND_AFTER_MS = 150;
  const AT_ONCE = 500;

  /** The prompt that a redo asks with. The note goes on a line of its own, as in docs/review.md. */
  part.redone = function (prompt, note, mode) {
    const added = note.trim();
    if (!added) return prompt;
    return mode === "replace" ? added : `${prompt}\n${added}`;
  };

  class Decisions {
    /** `changed(edits)` is called after each change with the numbers of the edits. */
    constructor(collection, changed) {
      this.collection = collection;
      this.changed = changed;
      this.mine = new Map();
      this.undoable = [];
      this.kept = true;
      this.exported = true;
      this.prefix = `pipeline-review:${collection.index.key}:`;
      this.live = collection.index.live;
      this.unsent = new Set();
      this.sending = false;
      this.stale = this.read();
      this.ended = new AbortController();
      const { signal } = this.ended;
      window.addEventListener("storage", (event) => this.heard(event), { signal });
      window.addEventListener(
        "beforeunload",
        (event) => {
          if (!this.kept && !this.exported) event.preventDefault();
        },
        { signal },
      );
      if (this.live && this.mine.size) this.send([...this.mine.keys()]);
    }

    /** Takes the place of `older`, after the data were read anew; `moved` gives an edit's number. */
    inherit(older, moved) {
      older.ended.abort();
      clearTimeout(older.timer);
      this.undoable = older.undoable.map((step) =>
        step.map(([i, before]) => [moved(i), before]).filter(([i]) => i !== undefined),
      );
    }

    get readOnly() {
      return Boolean(this.live?.read_only);
    }

    of(i) {
      return this.mine.get(i) ?? this.collection.settled(i);
    }

    /** Decides about `edits`; returns how many of them have a picture to decide about. */
    decide(edits, decision, note = "", mode = "append") {
      if (this.readOnly) return 0;
      const decided = edits.filter((i) => this.collection.decidable(i));
      if (!decided.length) return 0;
      this.undoable.push(decided.map((i) => [i, this.of(i)]));
      this.put(decided.map((i) => [i, { decision, note, mode }]));
      return decided.length;
    }

    /** Wants an earlier take to be the edit's picture again; null: the present one, after all. */
    restore(i, take) {
      if (this.readOnly) return;
      const { number, variant } = take ?? {};
      const wanted = take
        ? { decision: "restore", note: "", take: number, variant }
        : this.collection.settled(i);
      this.undoable.push([[i, this.of(i)]]);
      this.put([[i, wanted]]);
    }

    /** Takes the last decisions back; returns their edits. */
    undo() {
      const last = this.undoable.pop();
      if (!last) return [];
      this.put(last);
      return last.map(([i]) => i);
    }

    put(decided) {
      const at = new Date().toISOString().replace(/\.\d+Z$/, "Z");
      for (const [i, { decision, note, mode, take, variant }] of decided) {
        const settled = this.collection.settled(i);
        const entry = { decision, note, mode: mode ?? "append", at, take, variant };
        entry.fingerprint = this.collection.edits.fingerprint[i];
        const same = settled.decision === decision && settled.note === note;
        // What the ledger says already needs no saying, unless it is on its way there.
        if (same && !this.unsent.has(i)) this.mine.delete(i);
        else this.mine.set(i, entry);
        this.store(i);
      }
      this.exported = false;
      const edits = decided.map(([i]) => i);
      if (this.live) this.send(edits);
      this.changed(edits);
    }

    /** {edits, approved, rejected, redo, restore, decided}: counts over the edits with a picture. */
    counts() {
      const found = { edits: 0, approved: 0, rejected: 0, redo: 0, restore: 0, decided: 0 };
      for (const i of this.collection.all) {
        const { decision } = this.of(i);
        if (!this.collection.decidable(i)) continue;
        found.edits += 1;
        if (decision) {
          found[decision] += 1;
          found.decided += 1;
        }
      }
      return found;
    }

    // --- the browser's storage: one item per edit, so that two tabs do not overwrite each other

    store(i) {
      const entry = this.mine.get(i);
      const name = this.prefix + this.collection.ids[i];
      try {
        if (entry) window.localStorage.setItem(name, JSON.stringify(entry));
        else window.localStorage.removeItem(name);
      } catch (error) {
        if (this.kept) {
          const full = error.name === "QuotaExceededError";
          part.notice(
            "storage",
            `This browser does not keep decisions: its storage is ${full ? "full" : "switched off"}. ` +
              "Export them before you close this page.",
          );
        }
        this.kept = false;
      }
    }

    /** Returns how many stored decisions were about an older picture; these are dropped. */
    read() {
      let stale = 0;
      let names = [];
      try {
        const storage = window.localStorage;
        names = Array.from({ length: storage.length }, (_, k) => storage.key(k));
        storage.setItem("pipeline-asked", "1");
        storage.removeItem("pipeline-asked");
      } catch {
        this.kept = false;
        part.notice(
          "storage",
          "This browser does not let the page keep decisions. Export them before you close it.",
        );
      }
      for (const name of names) {
        if (!name.startsWith(this.prefix)) continue;
        const i = this.collection.at.get(name.slice(this.prefix.length));
        if (i === undefined) continue; // another report of the same job may show fewer edits
        const entry = parsed(window.localStorage.getItem(name));
        const settled = this.collection.settled(i);
        const same = settled.decision === entry?.decision && settled.note === entry.note;
        if (entry && (same || this.isBack(i, entry))) {
          window.localStorage.removeItem(name);
        } else if (!entry || entry.fingerprint !== this.collection.edits.fingerprint[i]) {
          stale += 1;
          window.localStorage.removeItem(name);
        } else this.mine.set(i, entry);
      }
      return stale;
    }

    /** Whether the take that was wanted is the picture now. */
    isBack(i, { decision, variant, fingerprint }) {
      const { edits } = this.collection;
      const changed = fingerprint !== edits.fingerprint[i];
      return decision === "restore" && changed && variant === edits.variant[i];
    }

    heard(event) {
      if (event.key === null || !event.key.startsWith(this.prefix)) return;
      const i = this.collection.at.get(event.key.slice(this.prefix.length));
      if (i === undefined) return;
      const entry = parsed(event.newValue);
      if (entry) this.mine.set(i, entry);
      else this.mine.delete(i);
      this.changed([i]);
    }

    // --- out and in

    rows() {
      return this.collection.all.filter((i) => this.mine.has(i)).map((i) => this.row(i));
    }

    row(i) {
      const entry = this.mine.get(i);
      return {
        id: this.collection.ids[i],
        decision: entry.decision || "undecided",
        note: entry.note,
        prompt_mode: entry.decision === "redo" ? entry.mode : "",
        fingerprint: entry.fingerprint,
        decided_at: entry.at,
        ...(entry.decision === "restore" && { take: entry.take }),
      };
    }

    csv() {
      return part.table.write(this.rows());
    }

    /** Takes a decisions.csv in, as one step that undo takes back.
     * Returns {taken, problems: [words]}; with problems nothing is taken. */
    take(text) {
      const problems = [];
      const older = [];
      const found = [];
      for (const row of part.table.read(text)) {
        const i = this.collection.at.get(row.id);
        const decision = row.decision === "undecided" ? "" : row.decision;
        if (i === undefined) problems.push(`line ${row.line}: no edit has the id ${row.id}`);
        else if (decision && !WORDS.includes(decision)) {
          problems.push(`line ${row.line}: '${row.decision}' is no decision`);
        } else if (row.fingerprint && row.fingerprint !== this.collection.edits.fingerprint[i]) {
          older.push(row.id);
        } else if (decision === "restore") {
          const take = numbered(row.take);
          if (take) found.push([i, { decision, note: "", take }]);
          else problems.push(`line ${row.line}: which take of ${row.id} is not said`);
        } else if (!this.collection.decidable(i)) {
          problems.push(`line ${row.line}: ${row.id} has no picture to decide about`);
        } else {
          const mode = row.prompt_mode?.trim() === "replace" ? "replace" : "append";
          found.push([i, { decision, note: row.note ?? "", mode }]);
        }
      }
      if (!problems.length && found.length) {
        this.undoable.push(found.map(([i]) => [i, this.of(i)]));
        this.put(found);
      }
      return { taken: problems.length ? 0 : found.length, older: older.length, problems };
    }

    // --- to the page's own server

    send(edits) {
      for (const i of edits) this.unsent.add(i);
      if (this.readOnly) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.flush(), SEND_AFTER_MS);
    }

    async flush() {
      if (this.sending) return;
      this.sending = true;
      try {
        while (this.unsent.size) {
          const batch = [...this.unsent].slice(0, AT_ONCE);
          const sent = new Map(batch.map((i) => [i, this.mine.get(i)]));
          for (const i of batch) this.unsent.delete(i);
          try {
            await this.post(sent);
          } catch (error) {
            for (const i of batch) if (this.mine.has(i)) this.unsent.add(i);
            throw error;
          }
        }
        part.notice("sending", "");
        if (this.moved) await this.shown();
      } catch (error) {
        part.notice(
          "sending",
          `${part.several(this.unsent.size, "decision")} could not be saved: ${error.message}. ` +
            "This browser keeps them until it works.",
          { action: ["Try again", () => this.flush()] },
        );
      } finally {
        this.sending = false;
      }
    }

    async post(sent) {
      const asked = [...sent].filter(([, entry]) => entry).map(([i]) => this.row(i));
      if (!asked.length) return;
      const answer = await fetch(part.address(this.live.decide), {
        method: "POST",
        credentials: "same-origin",
        headers: {
          "Content-Type": "application/json",
          "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]')?.content ?? "",
        },
        body: JSON.stringify(asked.map(({ decided_at: _, ...row }) => row)),
      }).catch(() => {
        throw new Error("the server does not answer");
      });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const { applied = [], problems = [] } = await answer.json();
      const done = [];
      for (const id of applied) {
        const i = this.collection.at.get(id);
        if (i === undefined) continue;
        const entry = sent.get(i);
        const restored = entry?.decision === "restore";
        if (restored) this.moved = [i, entry.take];
        if (this.mine.get(i) !== entry) continue;
        if (!restored) this.collection.settle(i, entry);
        this.mine.delete(i);
        this.store(i);
        done.push(i);
      }
      if (problems.length) {
        for (const { id } of problems) {
          const i = this.collection.at.get(id);
          if (this.mine.get(i)?.decision !== "restore") continue;
          this.mine.delete(i); // asked again, it would be the same answer
          this.store(i);
          done.push(i);
        }
        const first = `${problems[0].id}: ${problems[0].message}`;
        const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
        part.notice("problems", `Not taken: ${first}${more}`);
      }
      if (done.length) this.changed(done);
    }

    /** An earlier take is the picture now: what was said before was about another one. */
    async shown() {
      const [i, take] = this.moved;
      this.moved = null;
      this.undoable = this.undoable
        .map((step) => step.filter(([k]) => k !== i))
        .filter((step) => step.length);
      const id = this.collection.ids[i];
      part.say(`Take ${take} is the picture of ${id} again. The other one is kept as a take.`);
      await gallery.refresh().catch(() => {}); // the next change reads it again
    }
  }

  /** The number of a take, as a spreadsheet may write it; 0 for anything else. */
  const numbered = (text) => (/^\d{1,9}(\.0)?$/.test(text?.trim() ?? "") ? Math.trunc(text) : 0);

  function parsed(text) {
    try {
      const entry = JSON.parse(text);
      const sound =
        entry &&
        ["", ...WORDS].includes(entry.decision) &&
        (entry.decision !== "restore" || Number.isInteger(entry.take)) &&
        typeof entry.note === "string" &&
        typeof entry.fingerprint === "string";
      return sound ? entry : null;
    } catch {
      return null;
    }
  }

  part.Decisions = Decisions;
})();
