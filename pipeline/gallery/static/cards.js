// One edit in the overview: before, after, its id and a line of words.
"use strict";

(function () {
  const { part } = gallery;
  const { make } = part;

  part.SIGNS = { approved: "✓", rejected: "✕", redo: "↻", restore: "↶" };

  /** A decision in words. */
  part.worded = ({ decision, take }) => (decision === "restore" ? `take ${take} back` : decision);

  class Cards {
    constructor(collection, decisions) {
      this.collection = collection;
      this.decisions = decisions;
    }

    made(i, column) {
      const { collection } = this;
      const card = make("div", {
        class: "card",
        role: "gridcell",
        id: `edit-${i}`,
        "aria-colindex": column,
        "data-edit": i,
      });
      card.append(
        make("input", { type: "checkbox", class: "pick", tabIndex: -1, "aria-label": `Select ${collection.ids[i]}` }),
        make(
          "div",
          { class: "pair" },
          this.shot(collection.edits.before[i], collection.edits.inputs[i], "no preview"),
          this.shot(
            collection.edits.after[i],
            collection.edits.outputs[i],
            collection.edits.outputs[i] > 0 ? "no preview" : collection.status(i),
          ),
        ),
        make("div", { class: "line" }, make("span", { class: "id" }, collection.ids[i]), make("span", { class: "badge" })),
        make("div", { class: "sub" }),
      );
      this.dress(card, i);
      return card;
    }

    shot(path, pictures, otherwise) {
      const shot = make("span", { class: "shot" });
      const address = part.thumb(path);
      if (address) {
        shot.append(
          make("img", {
            alt: "",
            decoding: "async",
            draggable: false,
            "data-src": address,
            onerror: () => shot.replaceChildren(make("em", {}, "picture missing")),
          }),
        );
      } else shot.append(make("em", {}, otherwise));
      if (pictures > 1) shot.append(make("b", { class: "more", title: `${pictures} pictures` }, `${pictures}`));
      return shot;
    }

    /** What may change while a card is on the screen: decision, note. */
    dress(card, i) {
      const { collection, decisions } = this;
      const said = decisions.of(i);
      const { decision, note } = said;
      const status = collection.status(i);
      card.dataset.decision = decision;
      card.dataset.status = status;
      card.querySelector(".badge").textContent = part.SIGNS[decision] ?? "";
      const sub = card.querySelector(".sub");
      const problem = status !== "succeeded" && (!decision || (collection.waits(i) && decision === "redo"));
      const reason = collection.reason(i).replaceAll("_", " ");
      sub.textContent = problem
        ? [status, reason].filter(Boolean).join(": ")
        : note || collection.prompt(i);
      sub.classList.toggle("problem", problem);
      sub.classList.toggle("said", Boolean(note) && !problem);
      const words = [collection.ids[i], status, part.worded(said), note].filter(Boolean);
      card.setAttribute("aria-label", words.join(", "));
    }
  }

  part.Cards = Cards;
})();
