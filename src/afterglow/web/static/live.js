// What Today adds when scripts run: the board stays live.
import { placeOf } from "/static/place.js";

const POLL_MS = 15000;
const SILENT_MS = 12000; // two beats and a half
const PATIENCE = 4; // a board waits so many times as long as its last answer took: a busy server is not asked more

const live = document.getElementById("live");
if (live) follow(live);

function follow(board) {
  const stale = document.getElementById("stale");
  let source = null;
  let poll = null;
  let heard = 0; // a stream that is silent for longer than its beats is dead, whatever the browser still believes
  let busy = false;
  let missed = false; // something changed while the board was being asked for, or before it may be asked for again

  async function refresh() {
    missed = busy;
    if (busy || isTyping(board)) return;
    busy = true;
    const began = performance.now();
    try {
      const answer = await fetch(board.dataset.board, { redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.assign(board.dataset.home ?? "/login?ended=1");
      if (!answer.ok) throw new Error(String(answer.status));
      const focused = board.contains(document.activeElement) ? document.activeElement : null;
      const open = [...board.querySelectorAll("details[open][id]")].map((each) => each.id);
      board.innerHTML = await answer.text();
      for (const id of open) board.querySelector(`details[id="${id}"]`)?.setAttribute("open", "");
      placeOf(focused, board)?.focus({ preventScroll: true });
      mark(false);
    } catch {
      mark(true);
    } finally {
      setTimeout(() => { busy = false; if (missed) refresh(); }, PATIENCE * (performance.now() - began));
    }
  }

  function mark(old) {
    if (old && stale.hidden) stale.textContent = `Not up to date since ${document.getElementById("now").textContent.slice(-5)}. Trying again.`;
    stale.hidden = !old;
    board.classList.toggle("stale", old);
  }

  function open() {
    const seq = board.querySelector("[data-seq]").dataset.seq;
    source = new EventSource(`${board.dataset.events}?after=${seq}`);
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => { source.close(); location.assign(board.dataset.home ?? "/login?ended=1"); });
    source.addEventListener("open", () => { clearInterval(poll); poll = setInterval(refresh, 60000); });
    source.addEventListener("error", () => { clearInterval(poll); poll = setInterval(refresh, POLL_MS); mark(true); });
    source.addEventListener("beat", () => { heard = Date.now(); });
    heard = Date.now();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); clearInterval(poll); } else { refresh(); open(); }
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("offline", () => mark(true));
  addEventListener("online", refresh);
  setInterval(() => { if (!document.hidden && Date.now() - heard > SILENT_MS) { heard = Date.now(); refresh(); } }, 1000);
  if (!document.hidden) open();
}

function isTyping(board) {
  return [...board.querySelectorAll("input:not([type=hidden])")].some((each) => each.value || each === document.activeElement);
}
