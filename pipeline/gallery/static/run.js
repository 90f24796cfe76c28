// The numbers above the charts, and the notices about the whole job.
"use strict";

(function () {
  const { part } = gallery;
  const { make } = part;

  part.numbers = function (index) {
    const { summary } = index;
    const { succeeded = 0, ...others } = summary.counts;
    const tiles = [
      ["Edits", part.count(summary.edits), ""],
      ["Succeeded", part.count(succeeded), share(succeeded, summary.edits)],
      ...Object.entries(others)
        .filter(([, count]) => count)
        .map(([status, count]) => [capital(status), part.count(count), share(count, summary.edits)]),
      ["Pictures", part.count(summary.pictures), ""],
      ["Cost", part.money(summary.cost_usd), each(summary)],
    ];
    if (summary.unknown_usd) {
      tiles.push(["Not known", part.money(summary.unknown_usd), "asked for, outcome not known"]);
    }
    return tiles.map(([name, value, more]) =>
      make(
        "div",
        { class: "number" },
        make("span", { class: "name" }, name),
        make("strong", {}, value),
        make("span", { class: "more" }, more),
      ),
    );
  };

  const share = (count, all) => (all ? `${((100 * count) / all).toFixed(count && count < all / 10 ? 1 : 0)} %` : "");
  const each = ({ cost_usd: cost, pictures }) => (pictures && cost ? `${part.money(cost / pictures)} a picture` : "");
  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

  /** What stands where the grid would be: [heading, words, command] or null. */
  part.emptiness = function (collection, shown) {
    const { summary } = collection.index;
    if (!collection.count) {
      return ["No edits yet", "This job's ledger is empty. Run the job, then make the report again:", part.pipelineCommand("run", collection.index)];
    }
    if (!shown) return ["Nothing matches", "No edit has all that you are filtering by.", ""];
    if (!summary.pictures) {
      const [reason, count] = collection.values("reason", null)[0] ?? ["", 0];
      const why = reason ? ` Most often: ${reason.replaceAll("_", " ")} (${part.count(count)}).` : "";
      return ["", `None of the ${part.several(collection.count, "edit")} has a picture.${why} Open one to see what happened.`, ""];
    }
    return null;
  };
})();
