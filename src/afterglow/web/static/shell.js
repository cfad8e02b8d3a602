// What every page adds when scripts run: an idle login warns and keeps what was typed, shortcuts, and word when there is no network.
const WARN_S = 120;
const OFF = "afterglow-shortcuts-off";
const OPEN = ["keydown", "pointerdown"];

watchIdle(Number(document.body.dataset.idleS));
watchKeys();
watchNetwork();
for (const each of document.querySelectorAll("[data-print]")) {
  each.hidden = false;
  each.addEventListener("click", (event) => { event.preventDefault(); print(); });
}

// What is being computed is looked for again, unless somebody reads on by keyboard meanwhile.
const again = document.querySelector("[data-again-s]");
if (again) setInterval(() => { if (document.activeElement === document.body) location.reload(); }, Number(again.dataset.againS) * 1000);

function watchIdle(idleS) {
  const box = document.getElementById("idle");
  const lock = document.getElementById("lock");
  let last = Date.now();
  let told = Date.now();
  const stay = async () => {
    last = told = Date.now();
    box.hidden = true;
    const answer = await fetch("/still-here", { method: "POST" }).catch(() => null);
    if (answer?.status === 401) end();
  };
  const end = () => {
    if (!hasTyped()) return location.assign("/login?ended=1");
    box.hidden = true;
    document.body.classList.add("locked");
    if (!lock.open) lock.showModal();
  };
  document.getElementById("stay").addEventListener("click", stay);
  for (const name of OPEN) {
    addEventListener(name, () => { last = Date.now(); if (!lock.open && box.hidden && last - told > 60000) stay(); }, { passive: true });
  }
  lock.addEventListener("cancel", (event) => event.preventDefault());
  lock.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const fault = document.getElementById("lock-fault");
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
    if (answer?.ok) {
      form.reset();
      fault.hidden = true;
      last = told = Date.now();
      document.body.classList.remove("locked");
      lock.close();
    } else {
      fault.textContent = !answer ? "There is no network. Try again." : answer.status === 429 ? "Too many failed tries. Wait a little." : "Password or code do not fit. Each code is good once.";
      fault.hidden = false;
      form.querySelector("[name=again_code]").value = "";
    }
  });
  setInterval(() => {
    if (lock.open) return;
    const idle = (Date.now() - last) / 1000;
    if (box.hidden && idle >= idleS - WARN_S) box.querySelector("strong").textContent = `You will be logged out in ${Math.max(1, Math.round((idleS - idle) / 60))} min.`;
    box.hidden = idle < idleS - WARN_S;
    if (idle > idleS + 75) end();
  }, 1000);
}

// Whether a form of the page holds something that was not there when it came.
function hasTyped() {
  return [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")].some((each) =>
    each.type === "checkbox" || each.type === "radio" ? each.checked !== each.defaultChecked
      : each.tagName === "SELECT" ? [...each.options].some((option) => option.selected !== option.defaultSelected) && each.selectedIndex > 0
        : each.value !== each.defaultValue);
}

function watchKeys() {
  const box = document.getElementById("shortcuts");
  const opener = document.getElementById("keys");
  const on = document.getElementById("shortcuts-on");
  let going = false;
  opener.hidden = false;
  opener.addEventListener("click", () => box.showModal());
  on.checked = !localStorage.getItem(OFF);
  on.addEventListener("change", () => on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1"));
  addEventListener("keydown", (event) => {
    const field = event.target.closest?.("input, select, textarea, dialog");
    if (field || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(OFF)) return;
    const find = document.getElementById("find");
    if (going) {
      going = false;
      const to = [...box.querySelectorAll("[data-go]")].find((each) => each.dataset.letter === event.key);
      if (to) location.assign(to.dataset.go);
    } else if (event.key === "g") {
      going = true;
      setTimeout(() => { going = false; }, 1500);
    } else if (event.key === "/" && find) {
      event.preventDefault();
      find.focus();
    } else if (event.key === "?") {
      box.showModal();
    } else {
      document.querySelector(`main a[data-key="${CSS.escape(event.key)}"]`)?.click();
    }
  });
}

// A form is not sent into a dead network: what was typed stays on the page. Forms that queue say so themselves.
function watchNetwork() {
  const box = document.getElementById("unsent");
  addEventListener("submit", (event) => {
    if (navigator.onLine || event.defaultPrevented || event.target.dataset.queues !== undefined || event.target.method === "dialog") return;
    event.preventDefault();
    box.textContent = "There is no network: nothing was sent. What you typed stays on this page; send it again when the network is back.";
    box.hidden = false;
    box.scrollIntoView({ block: "center" });
  });
  addEventListener("online", () => { box.hidden = true; });
}
