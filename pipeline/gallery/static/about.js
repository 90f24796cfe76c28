// The words beside a picture: what was asked, what it cost, what was tried.
"use strict";

(function () {
  const { part } = gallery;
  const { make, button } = part;

  const section = (title, ...children) =>
    make("section", {}, make("h3", {}, title), ...children);

  const facts = (pairs) =>
    make(
      "dl",
      { class: "facts" },
      ...pairs
        .filter(([, value]) => value !== "" && value !== null && value !== undefined)
        .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );

  const spoken = (value) => (typeof value === "string" ? value : JSON.stringify(value));

  /** A link to the picture itself, in a window of its own that knows nothing of this one. */
  function link(picture, words) {
    const address = part.address(picture.src);
    if (!address) return words;
    return make(
      "a",
      { href: address, target: "_blank", rel: "noopener noreferrer", title: "Open the full size" },
      words,
    );
  }

  function described({ width, height, format, bytes }) {
    return [width && height ? `${width} × ${height}` : "", (format ?? "").toUpperCase(), bytes ? part.bytes(bytes) : ""]
      .filter(Boolean)
      .join(", ");
  }

  /** Sections about an edit, from its details; `restore(take)` takes an earlier picture back. */
  part.about = function (collection, i, details, restore) {
    const { edits } = collection;
    const sections = [];
    if (details.message) sections.push(make("p", { class: "message" }, details.message));
    sections.push(section("Prompt", make("p", { class: "prompt" }, details.prompt)));
    sections.push(
      facts([
        ["Cost", part.money(edits.cost[i])],
        ["Time", part.duration(edits.seconds[i])],
        ["Attempts", String(edits.attempts[i])],
        ["Finished", part.moment(details.finished)],
        ["Take", edits.variant[i] > 1 ? String(edits.variant[i]) : ""],
        ["Model", details.model],
        ["Row", details.place],
        ["Run", details.run],
      ]),
    );
    const columns = collection.columns
      .map((name, k) => [name, collection.column(k, i)])
      .filter(([, value]) => value !== "");
    if (columns.length) sections.push(section("From the manifest", facts(columns)));
    const parameters = Object.entries(details.parameters ?? {});
    if (parameters.length) {
      sections.push(section("Parameters", facts(parameters.map(([k, v]) => [k, spoken(v)]))));
    }
    const pictures = [
      ...details.inputs.map((one, k) => [one, one.name || `Input ${k + 1}`]),
      ...details.outputs.map((one, k) => [one, `Result${details.outputs.length > 1 ? ` ${k + 1}` : ""}`]),
    ];
    if (pictures.length) {
      sections.push(
        section(
          "Pictures",
          make(
            "ul",
            { class: "pictures" },
            ...pictures.map(([one, words]) =>
              make("li", {}, link(one, words), make("span", {}, described(one))),
            ),
          ),
        ),
      );
    }
    if (details.checks.length) sections.push(section("Checks", checks(details.checks)));
    if (details.attempts.length) sections.push(section("Attempts", attempts(details.attempts)));
    if (details.takes.length) sections.push(section("Earlier takes", takes(details.takes, restore)));
    return sections;
  };

  const checks = (all) =>
    make(
      "ul",
      { class: "checks" },
      ...all.map((check) =>
        make(
          "li",
          { "data-passed": Boolean(check.passed) },
          make("span", { class: "sign" }, check.passed ? "✓" : "✕"),
          make("span", {}, `${check.name}: ${check.message || spoken(check.value)}`),
        ),
      ),
    );

  const attempts = (all) =>
    make(
      "ol",
      { class: "attempts" },
      ...all.map((attempt) => {
        const words = [
          attempt.status,
          attempt.http ? `HTTP ${attempt.http}` : "",
          part.duration(attempt.seconds),
          attempt.cost === null ? "" : part.money(attempt.cost),
        ];
        return make(
          "li",
          { value: attempt.number, "data-status": attempt.status },
          words.filter(Boolean).join(" · "),
          attempt.message && attempt.status !== "succeeded"
            ? make("p", { class: "message" }, attempt.message)
            : null,
        );
      }),
    );

  const WHY = { restore: "gave way to an earlier take" };

  const takes = (all, restore) =>
    make(
      "ol",
      { class: "takes" },
      ...all.map((take) =>
        make(
          "li",
          { value: take.number },
          make(
            "div",
            { class: "row" },
            ...(take.outputs ?? []).map((output, k) => {
              const address = part.thumb(output.thumb);
              const inside = address
                ? make("img", { src: address, alt: `Take ${take.number}, picture ${k + 1}` })
                : make("span", {}, `picture ${k + 1}`);
              return link(output, inside);
            }),
          ),
          take.decision || take.note
            ? make("p", { class: "note" }, [WHY[take.decision] ?? take.decision, take.note].filter(Boolean).join(": "))
            : null,
          make("p", { class: "hint" }, `${take.prompt} (${part.money(take.cost)})`),
          take.outputs?.length
            ? button("Take this one back", () => restore(take), {
                "aria-label": `Take this one back: take ${take.number}`,
                "data-take": take.number,
              })
            : null,
        ),
      ),
    );
})();
