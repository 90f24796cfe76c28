// Every key of the page. Help (dialogs.js) lists them.
"use strict";

(function () {
  const { part } = gallery;

  /** Keys act on `page` (app.js), unless somebody is writing or a dialog is open. */
  part.listen = function (page) {
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
      const writing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
      if (writing) {
        if (event.key === "Escape" && writing.id === "search") page.leaveSearch();
        else if (event.key === "Enter" && writing.id === "search") page.leaveSearch();
        else return;
        event.preventDefault();
        return;
      }
      const act = event.ctrlKey || event.metaKey ? withControl(page, event) : plain(page, event);
      if (!act) return;
      event.preventDefault();
      act();
    });
    document.addEventListener("keyup", (event) => {
      if (event.key === "b" || event.key === "B") page.loupe.stage.hold(false);
    });
    window.addEventListener("blur", () => page.loupe.stage.hold(false));
  };

  function withControl(page, { key, shiftKey, altKey }) {
    if (altKey || page.view.tab !== "review") return null;
    if (key.toLowerCase() === "z" && !shiftKey) return () => page.deciding.undo();
    if (key.toLowerCase() === "a" && !page.isOpen) return () => page.selectAll();
    return null;
  }

  function plain(page, event) {
    const { key, shiftKey, altKey, target } = event;
    if (altKey) return null;
    if (key === "?") return () => page.help();
    if (page.view.tab !== "review") return key === "g" || key === "Escape" ? () => page.close() : null;
    if (key === "/") return () => page.startSearch();
    const onButton = target.closest?.("button, a, summary, [role=slider]");
    if (onButton && (key === "Enter" || key === " ")) return null;
    return common(page, key) ?? (page.isOpen ? open(page, key, shiftKey) : grid(page, key, shiftKey));
  }

  function common(page, key) {
    const acts = {
      a: () => page.deciding.decide("approved"),
      x: () => page.deciding.decide("rejected"),
      u: () => page.deciding.decide(""),
      r: () => page.deciding.redo(),
      n: () => page.deciding.note(),
      j: () => page.step(1),
      k: () => page.step(-1),
    };
    return acts[key.toLowerCase()];
  }

  function open(page, key, shift) {
    const { stage } = page.loupe;
    const slide = (by) => () => stage.slide(stage.split + by);
    const acts = {
      ArrowLeft: shift ? slide(-0.05) : () => page.step(-1),
      ArrowRight: shift ? slide(0.05) : () => page.step(1),
      ArrowUp: () => page.step(-1),
      ArrowDown: () => page.step(1),
      PageUp: () => page.step(-1),
      PageDown: () => page.step(1),
      Home: () => page.step(-Infinity),
      End: () => page.step(Infinity),
      Escape: () => page.close(),
      Enter: () => page.close(),
      " ": () => (stage.mode === "blink" ? stage.flip() : page.step(shift ? -1 : 1)),
      g: () => page.close(),
      z: () => stage.zoom(),
      "+": () => stage.zoomBy(1.5),
      "=": () => stage.zoomBy(1.5),
      "-": () => stage.zoomBy(1 / 1.5),
      b: () => stage.hold(true),
      d: () => page.toggleDetails(),
      1: () => page.mode("slider"),
      2: () => page.mode("side"),
      3: () => page.mode("blink"),
    };
    return acts[key.length === 1 ? key.toLowerCase() : key];
  }

  function grid(page, key, shift) {
    const at = page.grid;
    const extend = { extend: shift };
    const acts = {
      ArrowLeft: () => at.step(-1, extend),
      ArrowRight: () => at.step(1, extend),
      ArrowUp: () => at.stepRows(-1, extend),
      ArrowDown: () => at.stepRows(1, extend),
      PageUp: () => at.stepRows(-at.page(), extend),
      PageDown: () => at.stepRows(at.page(), extend),
      Home: () => at.step(-Infinity, extend),
      End: () => at.step(Infinity, extend),
      Enter: () => page.open(at.focus),
      z: () => page.open(at.focus),
      " ": () => at.focus !== null && at.toggle(at.focus),
      Escape: () => at.select([]),
      1: () => page.open(at.focus, "slider"),
      2: () => page.open(at.focus, "side"),
      3: () => page.open(at.focus, "blink"),
    };
    return acts[key.length === 1 ? key.toLowerCase() : key];
  }
})();
