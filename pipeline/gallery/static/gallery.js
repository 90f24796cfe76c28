// What all parts of the page share: elements, words for numbers, and data files.
// Whatever comes from a job is put in as text or as a property, never as markup.
"use strict";

const gallery = { part: {} };

(function () {
  const { part } = gallery;

  /** An element. `properties`: properties of the element; `class`, `data-*`, `aria-*` and `role` as
   * attributes; `on…` as listeners. Children are elements or text. */
  part.make = function (name, properties = {}, ...children) {
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
  };

  part.byId = (id) => document.getElementById(id);

  part.button = (words, onclick, properties = {}) =>
    part.make("button", { type: "button", onclick, ...properties }, words);

  // --- numbers as people read them

  const whole = new Intl.NumberFormat("en");
  part.count = (number) => whole.format(number);
  part.several = (number, one, many = `${one}s`) =>
    `${whole.format(number)} ${number === 1 ? one : many}`;

  part.money = function (usd) {
    if (usd === null || usd === undefined) return "not known";
    if (usd === 0) return "$0";
    if (usd >= 1000) return `$${whole.format(Math.round(usd))}`;
    return `$${usd.toFixed(usd < 0.1 ? 4 : 2).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
  };

  part.duration = function (seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return `${minutes} min`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  };

  part.bytes = function (size) {
    if (size === null || size === undefined) return "";
    if (size < 1000) return `${size} B`;
    const unit = size < 1e6 ? ["kB", 1e3] : ["MB", 1e6];
    const value = size / unit[1];
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit[0]}`;
  };

  const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  /** `moment`: seconds since 1970, or an ISO text. */
  part.moment = function (moment) {
    if (moment === null || moment === undefined || moment === "") return "–";
    const date = typeof moment === "number" ? new Date(moment * 1000) : new Date(moment);
    return Number.isNaN(date.getTime()) ? "–" : moments.format(date);
  };

  // --- what the page says

  let toastTimer = 0;
  /** Says something, to eyes and screen readers; `action`: [words, function]. */
  part.say = function (words, action = null) {
    const toast = part.byId("toast");
    toast.replaceChildren(part.make("span", {}, words));
    if (action) toast.append(part.button(action[0], action[1]));
    toast.classList.add("shown");
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => toast.classList.remove("shown"), action ? 8000 : 4000);
  };

  /** A lasting notice under the heading; one per `name`. Without words it goes away. */
  part.notice = function (name, words, action = null) {
    const place = part.byId("notices");
    const old = place.querySelector(`[data-name="${name}"]`);
    if (!words) return old?.remove();
    if (old?.dataset.words === words) return undefined;
    const notice = part.make("p", { "data-name": name, "data-words": words }, words);
    if (action) notice.append(" ", part.button(action[0], action[1]));
    notice.append(
      part.button("×", () => notice.remove(), { class: "close", "aria-label": "Close this notice" }),
    );
    if (old) old.replaceWith(notice);
    else place.append(notice);
    return undefined;
  };

  // --- addresses

  const safe = /^(https?:\/\/|(?![a-z][a-z0-9+.-]*:)(?![/\\]{2})(?!\\))/i;
  /** `address` if it is relative or http(s), else "". */
  part.address = function (address) {
    if (typeof address !== "string") return "";
    // Browsers drop these characters before they look for a scheme.
    const plain = address.replace(/[\u0000-\u0020]/g, "");
    return plain && safe.test(plain) ? address : "";
  };

  /** Whether an address leads away from where this page lies. */
  part.isElsewhere = (address) =>
    /^\s*https?:/i.test(address) && new URL(address, document.baseURI).origin !== location.origin;

  part.thumb = (path) => (path ? part.address(document.body.dataset.thumbs + path) : "");

  // --- data files: scripts, because a page from disk may not fetch()

  const dataFile = /^(index|details-\d{4,})$/;
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("gallery", { createScriptURL: checked })
    : { createScriptURL: checked };

  function checked(name) {
    const [file, stamp] = name.split("?");
    if (!dataFile.test(file)) throw new TypeError(`${file} is no data file`);
    return `${document.body.dataset.data}${file}.js${stamp ? `?${stamp.replace(/\W/g, "")}` : ""}`;
  }

  /** Runs data/<name>.js, which calls gallery.index() or gallery.details(). */
  part.load = function (name, fresh = false) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = policy.createScriptURL(fresh ? `${name}?${Date.now()}` : name);
      script.onload = () => {
        script.remove();
        done();
      };
      script.onerror = () => {
        script.remove();
        failed(new Error(`${document.body.dataset.data}${name}.js is missing or cannot be read`));
      };
      document.head.append(script);
    });
  };

  // --- what this browser remembers of taste, not of decisions

  part.taste = function (name, otherwise) {
    try {
      return window.localStorage.getItem(`pipeline-${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  part.keepTaste = function (name, value) {
    try {
      window.localStorage.setItem(`pipeline-${name}`, value);
    } catch {
      // Taste may be lost; decisions.js says so where it matters.
    }
  };

  window.gallery = gallery;
})();
