// What the live page's scripts share: words that change in place, requests, the stream.

export const { make, byId, button, count, several, money, duration, moment, say, notice } =
  window.look;

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

const clocks = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const shorts = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
export function comingOf({ coming }) {
  // In the schedule's own timezone: that is how its owner wrote it.
  if (!coming) return "";
  return `Next run ${coming.local}${coming.followed ? "" : ", but no scheduler is there"}`;
}

export const shortMoment = (seconds) => shorts.format(new Date(seconds * 1000));
export const clock = (seconds) => clocks.format(new Date(seconds * 1000));

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
