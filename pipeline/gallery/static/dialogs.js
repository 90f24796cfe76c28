// Questions in front of the page: a note, a confirmation, help, what to do with an export.
"use strict";

(function () {
  const { part } = gallery;
  const { make, button } = part;

  /** Shows a modal dialog; `answer` closes it. Resolves with what was answered, null for Esc. */
  function ask(title, build, properties = {}) {
    return new Promise((resolve) => {
      const before = document.activeElement;
      const dialog = make("dialog", { "aria-labelledby": "dialog-title", ...properties });
      // At once, and not with the event: the next key may come before that.
      const answer = (value) => {
        dialog.close();
        dialog.remove();
        before?.focus?.({ preventScroll: true });
        resolve(value);
      };
      dialog.append(make("h2", { id: "dialog-title" }, title), ...build(answer));
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        answer(null);
      });
      dialog.addEventListener("pointerdown", (event) => {
        if (event.target === dialog && outside(dialog, event)) answer(null);
      });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  function outside(dialog, event) {
    const box = dialog.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    return x < box.left || x > box.right || y < box.top || y > box.bottom;
  }

  const actions = (...children) => make("div", { class: "actions" }, ...children);

  /** Resolves with true or null. */
  part.confirm = (title, words, yes) =>
    ask(title, (answer) => [
      make("p", {}, words),
      actions(
        button("Cancel", () => answer(null)),
        button(yes, () => answer(true), { class: "main", autofocus: true }),
      ),
    ]);

  /** A note for `redo` (with the prompt it leads to) or for another decision.
   * `prompts`: the distinct prompts of the edits. Resolves with {note, mode} or null. */
  part.askNote = function (title, { redo, prompts, note = "", mode = "append", yes }) {
    return ask(
      title,
      (answer) => {
        const text = make("textarea", { id: "note", rows: 3, value: note, autofocus: true });
        const result = make("p", { class: "prompt", id: "resulting" });
        const chosen = () => document.querySelector("dialog [name=mode]:checked")?.value ?? "append";
        const show = () => {
          if (!redo) return;
          const made = part.redone(prompts[0] ?? "", text.value, chosen());
          result.textContent = made;
        };
        const done = () => answer({ note: text.value.trim(), mode: chosen() });
        text.addEventListener("input", show);
        text.addEventListener("keydown", (event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            done();
          }
        });
        const way = (value, words) =>
          make(
            "label",
            {},
            make("input", {
              type: "radio",
              name: "mode",
              value,
              checked: value === mode,
              onchange: show,
            }),
            words,
          );
        queueMicrotask(show);
        return [
          make("label", { for: "note" }, redo ? "What should be different?" : "Note"),
          text,
          ...(redo
            ? [
                make(
                  "fieldset",
                  { class: "ways" },
                  make("legend", {}, "The note is"),
                  way("append", "added to the prompt"),
                  way("replace", "the new prompt"),
                ),
                make(
                  "h3",
                  {},
                  prompts.length > 1
                    ? `The prompt, for the first of ${prompts.length} different ones`
                    : "The prompt it will be asked with",
                ),
                result,
              ]
            : []),
          make("p", { class: "hint" }, "Enter saves, Shift+Enter starts a new line, Esc cancels."),
          actions(button("Cancel", () => answer(null)), button(yes, done, { class: "main" })),
        ];
      },
      { class: "note" },
    );
  };

  const quoted = (word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

  async function copy(words, pressed) {
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      const field = make("textarea", { value: words, class: "away" });
      pressed.after(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    pressed.textContent = "Copied";
    setTimeout(() => (pressed.textContent = "Copy"), 2000);
  }

  /** A command with a button that copies it. */
  part.command = (words) =>
    make(
      "div",
      { class: "command" },
      make("code", {}, words),
      button("Copy", (event) => copy(words, event.currentTarget)),
    );

  /** `index`: what the page shows; its options say which ledger the command is about. */
  part.pipelineCommand = (name, { job, options = [] }, ...more) =>
    ["pipeline", name, quoted(job), ...more, ...options].join(" ");

  /** Says what to do with the file that has just been saved. */
  part.afterExport = (index, counts) =>
    ask("Decisions exported", (answer) => [
      make("p", {}, `Your browser has saved decisions.csv with ${part.several(counts, "decision")}.`),
      make("p", {}, "To put them into the job's ledger, run this in the folder of the file:"),
      part.command(part.pipelineCommand("review", index, "decisions.csv")),
      make("p", { class: "hint" }, "Then make the report again: what was taken over leaves the export."),
      actions(button("Done", () => answer(true), { class: "main", autofocus: true })),
    ]);

  /** Asks for a decisions.csv; resolves with its text or null. */
  part.askFile = () =>
    new Promise((resolve) => {
      const field = make("input", { type: "file", accept: ".csv,text/csv", class: "away" });
      field.addEventListener("change", async () => {
        field.remove();
        resolve(field.files.length ? await field.files[0].text() : null);
      });
      field.addEventListener("cancel", () => {
        field.remove();
        resolve(null);
      });
      document.body.append(field);
      field.click();
    });

  part.tell = (title, lines) =>
    ask(title, (answer) => [
      make("ul", { class: "lines" }, ...lines.map((line) => make("li", {}, line))),
      actions(button("Close", () => answer(true), { class: "main", autofocus: true })),
    ]);

  const KEYS = [
    ["Move", [
      ["→ ← ↑ ↓", "next, previous, by row"],
      ["J K", "next, previous"],
      ["Home End PgUp PgDn", "first, last, by page"],
      ["Enter", "open the edit"],
      ["G Esc", "back to the grid"],
      ["/", "search"],
    ]],
    ["Decide", [
      ["A", "approve"],
      ["X", "reject"],
      ["R", "redo, with a note"],
      ["U", "undecide"],
      ["N", "write a note to a decision"],
      ["Ctrl Z", "take the last decision back"],
    ]],
    ["Look", [
      ["1 2 3", "slider, side by side, blink"],
      ["Shift ← →", "move the slider"],
      ["B", "hold: see the picture before"],
      ["Z", "zoom in and out"],
      ["+ −", "zoom by steps"],
      ["D", "show or hide the details"],
    ]],
    ["Choose several", [
      ["Space", "select"],
      ["Shift + arrows", "select a range"],
      ["Ctrl A", "select all that are shown"],
      ["Esc", "select none"],
    ]],
  ];

  part.showHelp = (settings) =>
    ask(
      "Keys",
      (answer) => [
        make(
          "div",
          { class: "keys" },
          ...KEYS.map(([title, keys]) =>
            make(
              "section",
              {},
              make("h3", {}, title),
              make(
                "dl",
                {},
                ...keys.flatMap(([key, words]) => [
                  make("dt", {}, ...key.split(" ").map((one) => (one === "+" && key !== "+ −" ? " + " : make("kbd", {}, one)))),
                  make("dd", {}, words),
                ]),
              ),
            ),
          ),
        ),
        make("h3", {}, "Settings"),
        ...settings.map(([words, on, change]) =>
          make(
            "label",
            { class: "setting" },
            make("input", {
              type: "checkbox",
              checked: on,
              onchange: (event) => change(event.target.checked),
            }),
            words,
          ),
        ),
        actions(button("Close", () => answer(true), { class: "main", autofocus: true })),
      ],
      { class: "help" },
    );
})();
