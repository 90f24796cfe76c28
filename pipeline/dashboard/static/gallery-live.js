// The served gallery: reads its data anew while a run brings pictures.
"use strict";

(function () {
  const EVERY_MS = 8000;
  const [, kind, key] = window.location.pathname.split("/");
  let known = null;
  let last = 0;
  let timer = 0;

  function heard(event) {
    const { edits, last_run: run } = JSON.parse(event.data);
    const now = JSON.stringify([edits, run?.ended]);
    const first = known === null;
    if (now === known) return;
    known = now;
    if (first) return;
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(500, last + EVERY_MS - Date.now()));
  }

  function refresh() {
    last = Date.now();
    gallery.refresh?.().catch(() => {}); // it says itself what it could not read
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
