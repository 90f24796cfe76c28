// The overview: rows of cards, of which only those on the screen exist.
"use strict";

(function () {
  const { part } = gallery;
  const { make } = part;

  const SIZES = {
    s: { least: 150, words: 30, gap: 8 },
    m: { least: 264, words: 52, gap: 14 },
    l: { least: 430, words: 72, gap: 18 },
  };
  const HEADING = 46;
  const AHEAD = 500; // pixels above and below the screen that exist already
  const STILL_MS = 90;

  class Grid {
    /** `opened(edit)` and `chosen()` are called when an edit is opened, or focus or selection change. */
    constructor(element, { opened, chosen }) {
      this.element = element;
      this.opened = opened;
      this.chosen = chosen;
      this.space = make("div", { class: "space", role: "presentation" });
      element.append(this.space);
      this.size = "m";
      this.groups = [];
      this.flat = [];
      this.place = new Map();
      this.rows = [];
      this.existing = new Map();
      this.selection = new Set();
      this.collapsed = new Set();
      this.focus = null;
      this.anchor = null;
      element.addEventListener("scroll", () => this.scrolled(), { passive: true });
      element.addEventListener("click", (event) => this.clicked(event));
      new ResizeObserver(() => this.layout()).observe(element);
    }

    /** Shows these groups of edits; keeps focus and selection where they are still shown. */
    show(collection, decisions, groups) {
      this.collection = collection;
      this.groups = groups;
      this.cards = new part.Cards(collection, decisions);
      const shown = new Set(groups.flatMap((group) => group.edits));
      for (const i of this.selection) if (!shown.has(i)) this.selection.delete(i);
      this.flatten();
      this.layout({ anew: true });
    }

    /** Edits have other numbers from now on. */
    renumber(moved) {
      const known = (i) => (i === null ? null : (moved(i) ?? null));
      this.focus = known(this.focus);
      this.setAnchor(known(this.anchor));
      this.selection = new Set([...this.selection].map(known).filter((i) => i !== null));
    }

    flatten() {
      this.flat = this.groups.flatMap((group) => (this.collapsed.has(group.value) ? [] : group.edits));
      this.place = new Map(this.flat.map((i, position) => [i, position]));
      if (this.focus === null || !this.place.has(this.focus)) this.focus = this.flat[0] ?? null;
    }

    layout({ anew = false } = {}) {
      const width = this.element.clientWidth - 2 * this.padding();
      if (width <= 0 || !this.collection) {
        this.overdue ||= anew; // hidden: it has no width yet
        return undefined;
      }
      const { least, words, gap } = SIZES[this.size];
      const across = Math.max(1, Math.floor((width + gap) / (least + gap)));
      const card = Math.floor((width - gap * (across - 1)) / across);
      const height = Math.floor((card - 2) / 2) + words;
      const same = this.across === across && this.card === card && this.height === height;
      if (same && !anew && !this.overdue) return this.draw();
      this.overdue = false;
      Object.assign(this, { across, card, height, gap });
      const style = this.element.style;
      style.setProperty("--card", `${card}px`);
      style.setProperty("--card-height", `${height}px`);
      style.setProperty("--gap", `${gap}px`);

      const rows = [];
      let top = 0;
      let first = 0;
      for (const group of this.groups) {
        if (group.value !== null) {
          rows.push({ top, group });
          top += HEADING;
          if (this.collapsed.has(group.value)) continue;
        }
        for (let k = 0; k < group.edits.length; k += across) {
          const count = Math.min(across, group.edits.length - k);
          rows.push({ top, first: first + k, count });
          top += height + gap;
        }
        first += group.edits.length;
      }
      this.rows = rows;
      this.total = top;
      this.space.style.height = `${top}px`;
      this.element.setAttribute("aria-rowcount", rows.length);
      this.element.setAttribute("aria-colcount", across);
      this.element.dataset.size = this.size;
      for (const row of this.existing.values()) row.remove();
      this.existing.clear();
      this.draw();
      return undefined;
    }

    padding() {
      return Number.parseFloat(getComputedStyle(this.element).paddingLeft) || 0;
    }

    // --- drawing

    scrolled() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => {
        this.asked = 0;
        this.draw();
      });
    }

    draw() {
      const { scrollTop, clientHeight } = this.element;
      const jumped = Math.abs(scrollTop - (this.drawnAt ?? 0)) > clientHeight;
      this.drawnAt = scrollTop;
      const from = this.rowAt(scrollTop - AHEAD);
      const to = this.rowAt(scrollTop + clientHeight + AHEAD);
      for (const [number, row] of this.existing) {
        if (number < from || number > to) {
          row.remove();
          this.existing.delete(number);
        }
      }
      const fresh = [];
      for (let number = from; number <= to && number < this.rows.length; number += 1) {
        if (this.existing.has(number)) continue;
        const row = this.row(number);
        this.existing.set(number, row);
        fresh.push(row);
      }
      // In reading order, for those who hear the page.
      for (const row of fresh) {
        const next = this.existing.get(Number(row.dataset.row) + 1);
        if (next?.isConnected) next.before(row);
        else this.space.append(row);
      }
      clearTimeout(this.later);
      // Pictures that rush past are not loaded.
      if (jumped) this.later = setTimeout(() => this.fill(), STILL_MS);
      else this.fill();
      this.mark();
    }

    rowAt(y) {
      let low = 0;
      let high = this.rows.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.rows[middle].top <= y) low = middle;
        else high = middle - 1;
      }
      return low;
    }

    fill() {
      for (const image of this.space.querySelectorAll("img[data-src]")) {
        image.src = image.dataset.src;
        delete image.dataset.src;
      }
    }

    row(number) {
      const { top, group, first, count } = this.rows[number];
      const row = make("div", { role: "row", "aria-rowindex": number + 1, "data-row": number });
      row.style.transform = `translateY(${top}px)`;
      if (group) {
        row.className = "heading";
        row.append(make("span", { role: "rowheader" }, this.heading(group)));
        return row;
      }
      row.className = "cards";
      for (let position = first; position < first + count; position += 1) {
        row.append(this.cards.made(this.flat[position], position - first + 1));
      }
      return row;
    }

    heading(group) {
      const open = !this.collapsed.has(group.value);
      return make(
        "button",
        { type: "button", "aria-expanded": open, onclick: () => this.collapse(group.value, open) },
        make("span", { class: "value" }, group.value),
        make("span", { class: "number" }, part.count(group.edits.length)),
      );
    }

    /** Focus and selection, on the cards that exist. */
    mark() {
      const several = this.selection.size > 0;
      this.element.classList.toggle("choosing", several);
      for (const card of this.space.querySelectorAll(".card")) {
        const i = Number(card.dataset.edit);
        const selected = this.selection.has(i);
        card.classList.toggle("focused", i === this.focus);
        if (card.getAttribute("aria-selected") !== String(selected)) {
          card.setAttribute("aria-selected", selected);
          card.querySelector(".pick").checked = selected;
        }
      }
      if (this.focus !== null && this.existing.has(this.rowOf(this.focus))) {
        this.element.setAttribute("aria-activedescendant", `edit-${this.focus}`);
      } else this.element.removeAttribute("aria-activedescendant");
    }

    /** Decisions about these edits have changed. */
    refresh(edits) {
      const changed = new Set(edits);
      for (const card of this.space.querySelectorAll(".card")) {
        const i = Number(card.dataset.edit);
        if (changed.has(i)) this.cards.dress(card, i);
      }
    }

    // --- moving and choosing

    top() {
      this.element.scrollTop = 0;
      this.draw();
    }

    rowOf(i) {
      const position = this.place.get(i);
      if (position === undefined) return -1;
      let low = 0;
      let high = this.rows.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.firstFrom(middle) <= position) low = middle;
        else high = middle - 1;
      }
      return low;
    }

    /** The first position that stands in row `number` or, for a heading, after it. */
    firstFrom(number) {
      for (let k = number; k < this.rows.length; k += 1) {
        if (this.rows[k].first !== undefined) return this.rows[k].first;
      }
      return this.flat.length;
    }

    go(i, { extend = false } = {}) {
      if (i === null || i === undefined || !this.place.has(i)) return;
      if (extend) this.extendTo(i);
      else this.setAnchor(i);
      this.focus = i;
      this.reveal(i);
      this.mark();
      this.chosen();
    }

    step(by, options) {
      const position = this.place.get(this.focus) ?? -1;
      this.go(this.flat[Math.min(Math.max(position + by, 0), this.flat.length - 1)], options);
    }

    /** Up or down by rows; stays in its column where the row is long enough. */
    stepRows(by, options) {
      const from = this.rowOf(this.focus);
      if (from < 0) return this.step(0, options);
      const column = this.place.get(this.focus) - this.rows[from].first;
      let to = from;
      for (let left = Math.abs(by), k = from; left > 0; ) {
        k += Math.sign(by);
        if (k < 0 || k >= this.rows.length) break;
        if (this.rows[k].first === undefined) continue;
        to = k;
        left -= 1;
      }
      const { first, count } = this.rows[to];
      return this.go(this.flat[first + Math.min(column, count - 1)], options);
    }

    page() {
      return Math.max(1, Math.floor(this.element.clientHeight / (this.height + this.gap)));
    }

    reveal(i) {
      const row = this.rows[this.rowOf(i)];
      if (!row) return;
      const { scrollTop, clientHeight } = this.element;
      const margin = 12;
      if (row.top < scrollTop + margin) this.element.scrollTop = row.top - margin;
      else if (row.top + this.height > scrollTop + clientHeight - 2 * margin) {
        this.element.scrollTop = row.top + this.height - clientHeight + 3 * margin;
      }
      this.draw();
    }

    setAnchor(i) {
      this.anchor = i;
      this.chosenBefore = null;
    }

    /** Selects from the anchor to `i`, in place of the last range from there. */
    extendTo(i) {
      this.chosenBefore ??= this.selection;
      this.selection = new Set(this.chosenBefore);
      const [a, b] = [this.place.get(this.anchor ?? this.focus), this.place.get(i)].sort((x, y) => x - y);
      for (let position = a; position <= b; position += 1) this.selection.add(this.flat[position]);
    }

    toggle(i) {
      if (!this.selection.delete(i)) this.selection.add(i);
      this.setAnchor(i);
      this.focus = i;
      this.mark();
      this.chosen();
    }

    select(edits) {
      this.selection = new Set(edits);
      this.setAnchor(this.focus);
      this.mark();
      this.chosen();
    }

    collapse(value, folded) {
      if (folded) this.collapsed.add(value);
      else this.collapsed.delete(value);
      this.flatten();
      this.layout({ anew: true });
      for (const button of this.space.querySelectorAll(".heading button")) {
        if (button.firstChild.textContent === value) button.focus({ preventScroll: true });
      }
    }

    collapseAll(folded) {
      this.collapsed = new Set(folded ? this.groups.map((group) => group.value) : []);
      this.flatten();
      this.layout({ anew: true });
      this.top();
    }

    clicked(event) {
      const card = event.target.closest(".card");
      if (!card) return;
      const i = Number(card.dataset.edit);
      const pick = event.target.closest(".pick");
      if (event.shiftKey) {
        event.preventDefault();
        this.extendTo(i);
        this.focus = i;
        this.mark();
        this.chosen();
      } else if (pick || event.ctrlKey || event.metaKey) {
        this.toggle(i);
        if (pick) this.element.focus({ preventScroll: true });
      } else {
        this.go(i);
        this.opened(i);
      }
    }
  }

  part.Grid = Grid;
})();
