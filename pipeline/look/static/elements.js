// What every page is made of: elements, and numbers as people read them. A plain script, because a
// page from disk may load no module. Whatever comes from a job is put in as text or as a property,
// never as markup.
"use strict";

window.look = (function () {
  /** An element. Keys with a dash, `role` and `for` become attributes, `on…` listeners, others
   * properties; null and undefined are left out. Children are elements or text. */
  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (value === undefined || value === null) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "class") element.className = value;
      else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const byId = (id) => document.getElementById(id);

  const button = (words, onclick, properties = {}) =>
    make("button", { type: "button", onclick, ...properties }, words);

  const whole = new Intl.NumberFormat("en");
  const count = (number) => whole.format(number);
  const several = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

  /** USD. Small sums to a tenth of a cent at least, so that a picture's price is told from another's. */
  function money(usd) {
    if (usd === null || usd === undefined) return "not known";
    if (usd >= 10000) return `$${count(Math.round(usd))}`;
    const digits = usd > 0 && usd < 0.1 ? [3, 4] : [2, 2];
    return `$${usd.toLocaleString("en", { minimumFractionDigits: digits[0], maximumFractionDigits: digits[1] })}`;
  }

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 100) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 100) return `${minutes} min`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }

  const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  /** `at`: seconds since 1970, or an ISO text. */
  function moment(at) {
    if (at === null || at === undefined || at === "") return "–";
    const date = new Date(typeof at === "number" ? at * 1000 : at);
    return Number.isNaN(date.getTime()) ? "–" : moments.format(date);
  }

  let timer = 0;
  /** Says something for a while, to eyes and screen readers; `action`: [words, function]. */
  function say(words, action = null) {
    const toast = byId("toast");
    toast.replaceChildren(make("span", {}, words), ...(action ? [button(...action)] : []));
    toast.classList.add("shown");
    clearTimeout(timer);
    timer = setTimeout(() => toast.classList.remove("shown"), action ? 8000 : 5000);
  }

  /** A lasting notice, one per `name`; without words it goes away. `closes`: a person may close it. */
  function notice(name, words, { bad = false, action = null, closes = true } = {}) {
    const place = byId("notices");
    const old = [...place.children].find((child) => child.dataset.name === name);
    if (!words) {
      old?.remove();
      return;
    }
    if (old?.dataset.words === words) return;
    const shown = make(
      "p",
      { class: bad ? "notice bad" : "notice", "data-name": name, "data-words": words },
      make("span", {}, words),
      action ? button(...action) : null,
      closes ? button("×", () => shown.remove(), { class: "plain close", "aria-label": "Close this notice" }) : null,
    );
    if (old) old.replaceWith(shown);
    else place.append(shown);
  }

  return { make, byId, button, count, several, money, duration, moment, say, notice };
})();
