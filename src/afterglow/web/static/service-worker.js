// Keeps the shell of a session's page: the page without any patient in it, and the files that it needs. What was
// seen and typed lies sealed in the page's own store, never here.
const SHELL = "/offline/session";
const NO_NETWORK = "/offline";
const KEPT = "afterglow-shell-4";
const FILES = [SHELL, NO_NETWORK, "/static/tokens.css", "/static/page.css", "/static/session.css", "/static/session.js", "/static/offline.js", "/static/place.js", "/static/kept.js", "/static/mark.svg", "/static/inter-latin-wght-normal.woff2"];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name)))).then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const path = new URL(request.url).pathname;
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && /^\/sessions\/[^/]+$/.test(path)) {
    event.respondWith(fetch(request).catch(() => caches.match(SHELL)));
  } else if (request.mode === "navigate" && !path.startsWith("/api")) {
    event.respondWith(fetch(request).catch(() => caches.match(NO_NETWORK)));
  } else if (FILES.includes(path)) {
    event.respondWith(fetch(request).then(async (answer) => {
      if (answer.ok) await (await caches.open(KEPT)).put(path, answer.clone());
      return answer;
    }).catch(() => caches.match(path)));
  }
});
