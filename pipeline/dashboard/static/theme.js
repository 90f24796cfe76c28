// Runs before the page is drawn, so that a chosen theme never flashes in the other one.
(function () {
  "use strict";
  try {
    const chosen = window.localStorage.getItem("pipeline-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden: the system's theme will do.
  }
})();
