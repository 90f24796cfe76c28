// The bar above the grid: what is shown, in which order, how large. And the state in the address.
"use strict";

(function () {
  const { part } = gallery;
  const { make, button } = part;

  const EMPTY = { tab: "review", q: "", status: "", reason: "", decision: "", sort: "manifest", group: "", open: "" };
  const PLAIN = ["q", "status", "reason", "decision", "sort", "group", "open"];
  const MOST_VALUES = 500;

  // --- the view in the address, so that it can be shared, kept, and left with Back

  part.viewFrom = function (hash) {
    const view = { ...EMPTY, columns: new Map() };
    for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
      if (PLAIN.includes(name)) view[name] = value;
      else if (name === "tab" && value === "run") view.tab = "run";
      else if (name.startsWith("col.")) view.columns.set(name.slice(4), value);
    }
    return view;
  };

  part.hashOf = function (view) {
    const words = new URLSearchParams();
    for (const name of ["tab", ...PLAIN]) if (view[name] !== EMPTY[name]) words.set(name, view[name]);
    for (const [name, value] of view.columns) words.set(`col.${name}`, value);
    const text = words.toString();
    return text ? `#${text}` : "#";
  };

  part.isFiltered = (view) =>
    Boolean(view.q || view.status || view.reason || view.decision || view.columns.size);

  // --- the bar

  const option = (value, words, chosen) => make("option", { value, selected: value === chosen }, words);

  class Filters {
    /** `change(parts)` is called with the parts of the view that a person has changed. */
    constructor(element, { change, size, collapse }) {
      this.element = element;
      this.change = change;
      this.search = make("input", {
        type: "search",
        id: "search",
        placeholder: "Search ids, prompts, notes",
        "aria-label": "Search ids, prompts and notes",
        "aria-keyshortcuts": "/",
        autocomplete: "off",
        spellcheck: false,
      });
      let timer = 0;
      this.search.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => change({ q: this.search.value }, { replace: true }), 120);
      });
      this.decision = make("div", { class: "segments", role: "group", "aria-label": "Decision" });
      this.status = this.select("Status", (value) => change({ status: value }));
      this.reason = this.select("Reason", (value) => change({ reason: value }));
      this.column = this.select("Column", (value) => this.choose(value));
      this.value = this.select("Value", (value) => this.chosenValue(value));
      this.value.hidden = true;
      this.sort = this.select("Sort by", (value) => change({ sort: value }));
      this.direction = button("", () => change({ sort: turned(this.view.sort) }), { class: "icon direction" });
      this.group = this.select("Group by", (value) => change({ group: value }));
      this.fold = button("Collapse all", () => collapse(this.fold.textContent === "Collapse all"), { class: "quiet", hidden: true });
      this.sizes = make("div", { class: "segments sizes", role: "group", "aria-label": "Size of the pictures" });
      for (const [name, words] of [["s", "Small"], ["m", "Medium"], ["l", "Large"]]) {
        this.sizes.append(
          button(name.toUpperCase(), () => size(name), { "data-size": name, "aria-label": words, title: words }),
        );
      }
      this.chips = make("div", { class: "chips" });
      this.result = make("span", { class: "result", role: "status" });
      this.more = button("Filters", () => this.open(!element.classList.contains("open")), {
        class: "more-filters",
        "aria-expanded": false,
      });
      element.append(
        make("div", { class: "line" }, this.search, this.more, this.decision, this.sizes),
        make(
          "div",
          { class: "line rest" },
          this.status,
          this.reason,
          this.column,
          this.value,
          make("span", { class: "pairing" }, this.sort, this.direction),
          make("span", { class: "pairing" }, this.group, this.fold),
        ),
        make("div", { class: "line shown" }, this.result, this.chips),
      );
    }

    open(on) {
      this.element.classList.toggle("open", on);
      this.more.setAttribute("aria-expanded", on);
    }

    select(words, changed) {
      return make("select", {
        "aria-label": words,
        title: words,
        onchange: (event) => changed(event.target.value),
      });
    }

    /** The choices that a collection offers. */
    offer(collection, decisions) {
      Object.assign(this, { collection, decisions });
      this.column.hidden = !collection.columns.length;
    }

    choose(column) {
      this.picking = column;
      this.value.hidden = !column;
      if (!column) return;
      const values = this.collection.values(`column.${column}`, this.decisions);
      this.value.replaceChildren(
        option("", `${column} is …`),
        ...values
          .slice(0, MOST_VALUES)
          .map(([value, count]) => option(`=${value}`, `${value || "(empty)"} (${part.count(count)})`)),
      );
      if (values.length > MOST_VALUES) {
        const left = make("option", { disabled: true }, `${part.count(values.length - MOST_VALUES)} more: search, or group by it`);
        this.value.append(left);
      }
      this.value.focus();
    }

    chosenValue(value) {
      if (!value) return;
      const columns = new Map(this.view.columns);
      columns.set(this.picking, value.slice(1));
      this.picking = "";
      this.value.hidden = true;
      this.change({ columns });
    }

    /** Shows the state of a view, and how many edits it has. */
    show(view, shown, groups) {
      this.view = view;
      const { collection, decisions } = this;
      if (document.activeElement !== this.search) this.search.value = view.q;
      this.fill(this.status, "status", "Any status", view.status);
      this.fill(this.reason, "reason", "Any reason", view.reason);
      this.column.replaceChildren(
        option("", "Any column"),
        ...collection.columns.map((name) => option(name, name, this.picking)),
      );
      if (!this.picking) this.value.hidden = true;
      const down = view.sort.startsWith("-");
      const sort = down ? view.sort.slice(1) : view.sort;
      this.sort.replaceChildren(
        ...Object.entries(part.SORTS).map(([name, [words]]) => option(name, words, sort)),
      );
      this.direction.textContent = down ? "↓" : "↑";
      this.direction.setAttribute("aria-label", down ? "Descending: turn round" : "Ascending: turn round");
      this.direction.title = down ? "Descending" : "Ascending";
      this.group.replaceChildren(
        option("", "No groups", view.group),
        ...["status", "reason", "decision", "prompt"].map((name) => option(name, `By ${name}`, view.group)),
        ...collection.columns.map((name) => option(`column.${name}`, `By ${name}`, view.group)),
      );
      this.fold.hidden = !view.group || groups.length < 2;
      for (const one of this.sizes.children) {
        one.setAttribute("aria-pressed", one.dataset.size === this.size);
      }
      this.segments(view.decision, decisions.counts());
      this.tags(view);
      const all = collection.count;
      this.result.textContent =
        shown === all ? part.several(all, "edit") : `${part.count(shown)} of ${part.several(all, "edit")}`;
    }

    folded(all) {
      this.fold.textContent = all ? "Expand all" : "Collapse all";
    }

    fill(select, field, any, chosen) {
      const values = this.collection.values(field, this.decisions).filter(([value]) => value);
      select.hidden = values.length < 2 && !chosen;
      select.replaceChildren(
        option("", any, chosen),
        ...values.map(([value, count]) =>
          option(value, `${value.replaceAll("_", " ")} (${part.count(count)})`, chosen),
        ),
      );
      select.classList.toggle("used", Boolean(chosen));
    }

    segments(chosen, counts) {
      const open = counts.edits - counts.decided;
      const all = [
        ["", "All", this.collection.count],
        ["undecided", "Undecided", open],
        ["approved", "Approved", counts.approved],
        ["redo", "Redo", counts.redo],
        ["rejected", "Rejected", counts.rejected],
        // Rare, and gone as soon as the ledger has it.
        ...(counts.restore || chosen === "restore" ? [["restore", "Take back", counts.restore]] : []),
      ];
      if (this.decision.children.length !== all.length) {
        this.decision.replaceChildren(
          ...all.map(([value, words]) => {
            const one = button("", () => this.change({ decision: value }), { "data-decision": value });
            one.append(words, " ", make("span", { class: "number" }));
            return one;
          }),
        );
      }
      all.forEach(([value, , count], k) => {
        const one = this.decision.children[k];
        one.setAttribute("aria-pressed", value === chosen);
        one.lastChild.textContent = part.count(count);
      });
    }

    tags(view) {
      const tags = [...view.columns].map(([name, value]) =>
        button(
          `${name}: ${value || "(empty)"} ×`,
          () => {
            const columns = new Map(view.columns);
            columns.delete(name);
            this.change({ columns });
          },
          { class: "chip", "aria-label": `Do not filter by ${name}` },
        ),
      );
      if (part.isFiltered(view)) tags.push(button("Show all", () => this.clear(), { class: "quiet" }));
      this.chips.replaceChildren(...tags);
    }

    clear() {
      this.search.value = "";
      this.change({ q: "", status: "", reason: "", decision: "", columns: new Map() });
    }
  }

  const turned = (sort) => (sort.startsWith("-") ? sort.slice(1) : `-${sort}`);

  part.Filters = Filters;
})();
