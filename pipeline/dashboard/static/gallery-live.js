// The served gallery: reads its data anew while a run brings pictures.
"use strict";

(function () {
  const EVERY_MS = 8000;
  const SHARE = 20; // of the time, the part that reading may take: a large gallery takes a second
  const [, kind, key] = window.location.pathname.split("/");
  let known = null;
  let next = 0;
  let timer = 0;

  const told = (counts) => JSON.stringify(Object.entries(counts).sort());

  function heard(event) {
    const shown = gallery.counts();
    if (!shown) {
      clearTimeout(timer);
      timer = setTimeout(heard, 200, event); // the page still reads what it will show
      return;
    }
    const { edits, last_run: run } = JSON.parse(event.data);
    const now = JSON.stringify([edits, run?.ended]);
    if (now === known) return;
    const first = known === null;
    known = now;
    if (first && told(edits) === told(shown)) return;
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(500, next - Date.now()));
  }

  async function refresh() {
    const began = Date.now();
    next = began + EVERY_MS;
    await gallery.refresh().catch(() => {}); // the next change reads it again
    next = Math.max(next, Date.now() + (Date.now() - began) * SHARE);
  }

  // A server that was started anew has another token for changes.
  async function renew() {
    const answer = await fetch("/api/session", { credentials: "same-origin" }).catch(() => null);
    const token = document.querySelector('meta[name="csrf-token"]');
    if (answer?.ok && token) token.content = (await answer.json()).csrf;
  }

  let source = null;
  function follow() {
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource(`/api/${kind}/${key}/events`);
    source.addEventListener("standing", heard);
    source.addEventListener("open", renew);
  }
  document.addEventListener("visibilitychange", follow);
  follow();
})();
