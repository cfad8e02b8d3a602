// What a page adds when scripts run: the board stays live, and an idle login warns before it ends.
const WARN_S = 120;
const POLL_MS = 15000;

const live = document.getElementById("live");
if (live) follow(live);
watchIdle(Number(document.body.dataset.idleS));

function follow(board) {
  const stale = document.getElementById("stale");
  let source = null;
  let poll = null;
  let busy = false;

  async function refresh() {
    if (busy || isTyping(board)) return;
    busy = true;
    try {
      const answer = await fetch(board.dataset.board, { redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.assign("/login?ended=1");
      if (!answer.ok) throw new Error(String(answer.status));
      const focused = focusKey(document.activeElement);
      board.innerHTML = await answer.text();
      restoreFocus(board, focused);
      mark(false);
    } catch {
      mark(true);
    } finally {
      busy = false;
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
    source.addEventListener("ended", () => location.assign("/login?ended=1"));
    source.addEventListener("open", () => { clearInterval(poll); poll = setInterval(refresh, 60000); });
    source.addEventListener("error", () => { clearInterval(poll); poll = setInterval(refresh, POLL_MS); mark(true); });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); clearInterval(poll); } else { refresh(); open(); }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) open();
}

function isTyping(board) {
  return [...board.querySelectorAll("input:not([type=hidden])")].some((each) => each.value || each === document.activeElement);
}

function focusKey(element) {
  const form = element?.closest?.("#live form");
  return form ? `${form.getAttribute("action")} ${form.querySelector("[name=alert_id], [name=session_id]")?.value}` : null;
}

function restoreFocus(board, key) {
  if (key) [...board.querySelectorAll("form")].find((form) => focusKey(form.querySelector("button")) === key)?.querySelector("button").focus();
}

function watchIdle(idleS) {
  const box = document.getElementById("idle");
  let last = Date.now();
  let told = Date.now();
  const stay = async () => {
    last = told = Date.now();
    box.hidden = true;
    await fetch("/still-here", { method: "POST" }).catch(() => null);
  };
  document.getElementById("stay").addEventListener("click", stay);
  for (const name of ["keydown", "pointerdown"]) {
    addEventListener(name, () => { last = Date.now(); if (box.hidden && last - told > 60000) stay(); }, { passive: true });
  }
  setInterval(() => {
    const idle = (Date.now() - last) / 1000;
    box.hidden = idle < idleS - WARN_S;
    if (idle > idleS + 90) location.assign("/login?ended=1");
  }, 1000);
}
