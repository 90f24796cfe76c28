// What all pages of the server share: elements, words for numbers, requests, the stream.
// Whatever comes from a job is put in as text or as a property, never as markup.

/** An element. Keys with a dash and `role` become attributes, `on…` listeners, others properties.
 * Children are elements or text. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

export const button = (words, onclick, properties = {}) =>
  make("button", { type: "button", onclick, ...properties }, words);

/** Changes a text only if it is another: nothing flickers, nothing is selected away. */
export function tell(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** `children` in place of what is there, unless `state` is what it was last time. */
export function fill(element, state, children) {
  const now = JSON.stringify(state);
  if (element.dataset.state === now) return;
  element.dataset.state = now;
  element.replaceChildren(...children());
}

// --- numbers as people read them

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);
export const several = (number, one, many = `${one}s`) =>
  `${whole.format(number)} ${number === 1 ? one : many}`;

export function money(usd) {
  if (usd === null || usd === undefined) return "not known";
  if (usd === 0) return "$0.00";
  if (usd >= 10000) return `$${whole.format(Math.round(usd))}`;
  const digits = usd < 0.1 ? 3 : 2;
  return `$${usd.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** "2 to 3 min": a range in one unit. */
export function range([low, high]) {
  if (high < 5) return "a few seconds left";
  const from = duration(low);
  const to = duration(high);
  if (from === to) return `about ${to} left`;
  const [a, unit] = from.split(" ");
  return `${to.endsWith(unit) && !from.includes("h") ? Number(a).toFixed(0) : from} to ${to} left`;
}

export function ago(seconds, now = Date.now() / 1000) {
  const passed = now - seconds;
  if (passed < 45) return "just now";
  if (passed < 5400) return `${Math.max(1, Math.round(passed / 60))} min ago`;
  if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
  return `${Math.round(passed / 86400)} days ago`;
}

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const shorts = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
export function comingOf({ coming }) {
  // In the schedule's own timezone: that is how its owner wrote it.
  if (!coming) return "";
  return `Next run ${coming.local}${coming.followed ? "" : ", but no scheduler is there"}`;
}

export const shortMoment = (seconds) => shorts.format(new Date(seconds * 1000));
export const moment = (seconds) => moments.format(new Date(seconds * 1000));
export const clock = (seconds) => clocks.format(new Date(seconds * 1000));

// --- what the page says

let toastTimer = 0;
export function say(words) {
  const toast = byId("toast");
  tell(toast, words);
  toast.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("shown"), 5000);
}

/** A lasting notice, one per `name`; without words it goes away. */
export function notice(name, words, { bad = false, action = null, closes = true } = {}) {
  const place = byId("notices");
  const old = [...place.children].find((child) => child.dataset.name === name);
  if (!words) {
    old?.remove();
    return;
  }
  if (old?.dataset.words === words) return;
  const shown = make(
    "div",
    { class: bad ? "notice bad" : "notice", "data-name": name, "data-words": words },
    make("span", {}, words),
    action ? button(action[0], action[1]) : null,
    closes ? button("×", () => shown.remove(), { class: "plain", "aria-label": "Close" }) : null,
  );
  if (old) old.replaceWith(shown);
  else place.append(shown);
}

// --- requests

let csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

async function answerOf(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // An answer of something in between, perhaps a proxy.
  }
  if (response.status === 401) window.location.reload();
  if (!response.ok) {
    const error = new Error(body?.error ?? `the server answered ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return body;
}

async function asked(address, options = {}) {
  const response = await fetch(address, { credentials: "same-origin", ...options }).catch(() => {
    throw new Error("the server does not answer");
  });
  return answerOf(response);
}

export const get = (address) => asked(address);

export async function post(address, body = {}) {
  const send = () =>
    asked(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
  try {
    return await send();
  } catch (error) {
    if (error.status !== 403) throw error;
    // The server was started anew since this page was loaded: it has another token now.
    const today = (await asked("/api/session")).csrf;
    if (today === csrf) throw error;
    csrf = today;
    return send();
  }
}

/** Calls `heard(value)` with every standing that the server sends, while the page can be seen. */
export function listen(address, heard) {
  let source = null;
  let again = 0;
  const open = () => {
    close();
    source = new EventSource(address);
    source.addEventListener("open", () => {
      notice("away", "");
      document.body.classList.remove("away");
    });
    source.addEventListener("standing", (event) => heard(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      document.body.classList.add("away");
      notice("away", "The server does not answer. What you see is from before; trying again …", {
        bad: true,
        closes: false,
      });
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
    });
  };
  const close = () => {
    clearTimeout(again);
    source?.close();
    source = null;
  };
  // A browser allows six connections to a server: tabs in the background give theirs back.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());
  if (!document.hidden) open();
}

// --- light and dark

export function themes() {
  const switched = byId("theme");
  if (!switched) return;
  const root = document.documentElement;
  const order = ["", "light", "dark"];
  const words = { "": "as the system", light: "light", dark: "dark" };
  const signs = { "": "◐", light: "○", dark: "●" };
  const show = () => {
    const chosen = root.dataset.theme ?? "";
    tell(switched, signs[chosen]);
    switched.setAttribute("aria-label", `Colours: ${words[chosen]}`);
    switched.title = `Colours: ${words[chosen]}`;
  };
  switched.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % order.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      if (next) window.localStorage.setItem("pipeline-theme", next);
      else window.localStorage.removeItem("pipeline-theme");
    } catch {
      // Not kept, then.
    }
    show();
  });
  show();
}
