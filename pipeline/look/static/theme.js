// Light or dark, as the system or as chosen. Runs before the page is drawn, so that a chosen theme
// never flashes in the other one; the button (#theme) may come later, or not at all.
(function () {
  "use strict";
  const KEY = "pipeline-theme";
  const THEMES = {
    "": ["◐", "as the system"],
    light: ["☀", "light"],
    dark: ["☾", "dark"],
  };
  const names = Object.keys(THEMES);
  const { dataset } = document.documentElement;
  let chosen = "";
  try {
    const kept = window.localStorage.getItem(KEY);
    if (names.includes(kept)) chosen = kept;
  } catch {
    // Storage may be forbidden: the system's theme will do.
  }

  function apply() {
    if (chosen) dataset.theme = chosen;
    else delete dataset.theme;
  }

  function keep() {
    try {
      if (chosen) window.localStorage.setItem(KEY, chosen);
      else window.localStorage.removeItem(KEY);
    } catch {
      // Not kept, then.
    }
  }

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const show = () => {
      const [sign, words] = THEMES[chosen];
      button.textContent = sign;
      button.title = `Colours: ${words}`;
      button.setAttribute("aria-label", button.title);
    };
    button.addEventListener("click", () => {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      apply();
      keep();
      show();
    });
    show();
  });
})();
