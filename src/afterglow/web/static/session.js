// What a session's page adds when scripts run: clocks tick, others' entries appear, rules show as one types, a set goes
// in by keyboard alone, and readings and events are kept on this device while there is no network.
import { discard, keep, keepSight, lastSight, lock, markRefused, othersWait, send, unlock, waiting } from "/static/offline.js";
import { placeOf } from "/static/place.js";

const POLL_MS = 15000;
const board = document.getElementById("session");
const session = board.dataset.session || location.pathname.split("/").pop();
let author = board.dataset.author ?? "";
let ahead = board.dataset.now ? Date.parse(board.dataset.now) - Date.now() : 0; // the server's clock less this one's
let kept = null;
let off = false;
let offSince = null;
let ended = false; // the login: what waits cannot be sent

const serverNow = () => Date.now() + ahead;
// Times are the clinic's, as everywhere on the page, whatever clock the device keeps.
const hhmm = (ms) => new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: board.dataset.zone ?? board.querySelector("[data-zone]")?.dataset.zone });
const say = (text) => { document.getElementById("said").textContent = text; };

// ---- clocks

function tick() {
  for (const each of board.querySelectorAll("[data-clock]")) {
    const minutes = Math.max(0, Math.floor((serverNow() - Date.parse(each.dataset.clock)) / 60000));
    const text = `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of board.querySelectorAll("[data-until]")) {
    const minutes = Math.floor((Date.parse(each.dataset.until) - serverNow()) / 60000);
    if (minutes >= 0 && each.textContent.startsWith("in ")) each.textContent = `in ${minutes} min`;
  }
  for (const each of board.querySelectorAll("[data-opens]")) {
    const seconds = Math.ceil((Date.parse(each.dataset.opens) - serverNow()) / 1000);
    const text = seconds > 0 ? `may be used in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "may be used now";
    if (each.textContent !== text) each.textContent = text;
  }
}

// ---- the same page for two people: parts are replaced one by one, but not those in which somebody types

const PATIENCE = 4; // others' entries wait so many times as long as the last answer took: a busy server is not asked more
let busy = false;
let again = false;
let took = 0;
let later = 0;

function changed() {
  later ||= setTimeout(() => { later = 0; refresh(); }, PATIENCE * took);
}

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  const began = performance.now();
  try {
    const answer = await fetch(`/sessions/${session}/board`, { redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return;
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = document.createElement("div");
    fresh.innerHTML = await answer.text();
    merge(fresh);
    online(true);
    await remember();
  } catch {
    online(false);
  } finally {
    busy = false;
    took = performance.now() - began;
    if (again) { again = false; refresh(); }
  }
}

function merge(fresh) {
  const focused = board.contains(document.activeElement) ? document.activeElement : null;
  const opened = new Set([...board.querySelectorAll("details[open] > summary")].map(nameOf));
  const closed = new Set([...board.querySelectorAll("details:not([open]) > summary")].map(nameOf));
  const typing = [...board.querySelectorAll("[data-part]")].filter(isTyping);
  for (const each of fresh.querySelectorAll("details > summary")) {
    if (opened.has(nameOf(each))) each.parentElement.open = true;
    if (closed.has(nameOf(each))) each.parentElement.open = false;
  }
  for (const old of typing) {
    const new_ = fresh.querySelector(`[data-part="${old.dataset.part}"]`);
    if (new_) new_.replaceWith(old); // what is typed stays as it is
    else fresh.querySelector(".steps")?.append(old);
    const version = new_?.querySelector("[name=version]");
    const mine = old.querySelector("[name=version]");
    if (version && mine && version.value !== mine.value) note(old);
  }
  for (const old of board.querySelectorAll(".fault-line")) {
    const form = fresh.querySelector(`#${CSS.escape(old.closest("form").id)}`);
    if (form) sender(form)?.before(old); // what was refused stays said
  }
  const before = new Set([...board.querySelectorAll(".alarm.high h2")].map((each) => each.id));
  board.replaceChildren(...fresh.childNodes);
  keypad();
  const met = [...board.querySelectorAll(".alarm.high h2")].filter((each) => !before.has(each.id));
  if (met.length) document.getElementById("met").textContent = met.map((each) => each.textContent).join(". ");
  if (focused && document.activeElement !== focused) placeOf(focused, board)?.focus({ preventScroll: true });
  tick();
  showNeeds();
  showQueued();
}

const nameOf = (summary) => `${summary.closest("[data-part]")?.dataset.part} ${summary.querySelector("h2")?.textContent ?? summary.textContent}`;

// Somebody else wrote meanwhile: what is sent from here is then compared with what stands, and comes back if it differs.
function note(part) {
  if (part.querySelector(".meanwhile")) return;
  const line = document.createElement("p");
  line.className = "hint meanwhile";
  line.textContent = "Somebody entered something else meanwhile. What you typed is kept; it is compared when you send it.";
  part.querySelector("form button")?.before(line);
}

// A form that came back refused holds what was typed as if it had been there before.
const isRefused = (part) => document.getElementById("summary") !== null
  && [...part.querySelectorAll("form")].some((form) => new URL(form.action).pathname === location.pathname);

function isTyping(part) {
  return isRefused(part) || [...part.querySelectorAll("input:not([type=hidden]), textarea, select")].some((each) =>
    each === document.activeElement || (each.type === "checkbox" || each.type === "radio" ? each.checked !== each.defaultChecked
      : each.tagName === "SELECT" ? each.selectedIndex > 0 && !each.options[each.selectedIndex].defaultSelected : each.value !== each.defaultValue));
}

function follow() {
  let source = null;
  let poll = null;
  const open = () => {
    source = new EventSource(`/today/events?after=${board.querySelector("[data-seq]")?.dataset.seq ?? 0}`);
    source.addEventListener("changed", changed);
    source.addEventListener("ended", () => { source.close(); document.getElementById("stay")?.click(); });
    source.addEventListener("open", () => { clearInterval(poll); poll = setInterval(refresh, 60000); if (off) back(); });
    source.addEventListener("error", () => { clearInterval(poll); poll = setInterval(() => (off ? back() : refresh()), POLL_MS); });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); clearInterval(poll); } else { refresh(); open(); }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) open();
}

// ---- entering: by keyboard alone, with the rules as one types

const NEXT = ["systolic_mmhg", "diastolic_mmhg", "heart_rate_per_min", "spo2_pct"];
let drafting = null;

board.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("#reading");
  if (!form || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = NEXT.indexOf(event.target.name);
  if (event.key === "Enter" && at >= 0) {
    event.preventDefault();
    if (at + 1 < NEXT.length) form.elements[NEXT[at + 1]].focus();
    else form.querySelector("[name=moaas]:checked, [name=moaas]").focus();
  } else if (event.target.name === "moaas" && /^[0-5]$/.test(event.key)) {
    event.preventDefault();
    choose(form, "moaas", event.key);
    form.querySelector("[name=dissociated]:checked, [name=dissociated]").focus();
  } else if (event.target.name === "dissociated" && /^[npNP]$/.test(event.key)) {
    event.preventDefault();
    choose(form, "dissociated", event.key.toLowerCase() === "n" ? "no" : "yes");
    form.querySelector("button.action").focus();
  } else if (event.key === "Enter" && event.target.type === "radio") {
    event.preventDefault();
    form.requestSubmit();
  }
});

function choose(form, name, value) {
  const chosen = form.querySelector(`[name=${name}][value="${value}"]`);
  chosen.checked = true;
  chosen.dispatchEvent(new Event("input", { bubbles: true }));
}

board.addEventListener("input", (event) => {
  const form = event.target.closest?.("#reading");
  if (!form) return;
  drawDraft();
  clearTimeout(drafting);
  drafting = setTimeout(() => judge(form), 350);
});

// Sets that are typed or wait on this device: hollow marks on the scales that the sheet's lanes say of themselves.
let queued = []; // sets of this session that wait, with their fields and the server's time

function drawDraft() {
  const form = document.getElementById("reading");
  const at = Date.parse(board.querySelector("[data-at]")?.dataset.at ?? "");
  const sets = queued.map((each) => ({ ...each, hours: (each.at - at) / 3600000 }));
  if (form && !form.elements.taken.value) sets.push({ hours: 0, fields: Object.fromEntries(new FormData(form)) });
  for (const lane of board.querySelectorAll(".draft-marks")) {
    lane.replaceChildren();
    for (const each of sets) drawSet(lane, each);
  }
}

function drawSet(lane, { hours, fields }) {
  const { now, hour, low, high, top, bottom } = Object.fromEntries(Object.entries(lane.dataset).map(([name, value]) => [name, Number(value)]));
  const x = now + hours * hour;
  const at = (name) => {
    const typed = (fields[name] ?? "").trim();
    if (!/^\d{2,3}$/.test(typed) || typed < low || typed > high) return null; // what no axis holds is told by the rules
    return bottom + ((typed - low) / (high - low)) * (top - bottom);
  };
  const mark = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries({ fill: "none", stroke: "var(--ink)", ...attributes })) made.setAttribute(name, value);
    lane.append(made);
  };
  if (lane.dataset.lane === "pressure") {
    const [above, below] = [at("systolic_mmhg"), at("diastolic_mmhg")];
    if (above !== null && below !== null) mark("path", { d: `M${x} ${above}V${below}`, "stroke-dasharray": "2 3", "stroke-width": 1.2 });
    if (above !== null) mark("path", { d: `M${x - 6} ${above - 5}L${x} ${above}L${x + 6} ${above - 5}Z` });
    if (below !== null) mark("path", { d: `M${x - 6} ${below + 5}L${x} ${below}L${x + 6} ${below + 5}Z` });
  } else {
    const y = at(lane.dataset.lane === "oxygen" ? "spo2_pct" : "heart_rate_per_min");
    if (y !== null) mark("circle", { cx: x, cy: y, r: 4.6, "stroke-dasharray": "2 2" });
  }
}

// Without a network a set is compared with the limits that the page brought along, those of one value alone.
const COMPARE = { ">=": (a, b) => a >= b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, "<": (a, b) => a < b, "==": (a, b) => a === b };

function plainly(fields) {
  const met = new Map();
  for (const each of document.getElementById("plain-limits")?.content.children ?? []) {
    const { rule, field, op, value } = each.dataset;
    const typed = (fields[field] ?? "").trim();
    const [a, b] = op === "==" ? [typed, value] : [Number(typed), Number(value)];
    if (typed && !met.has(rule) && COMPARE[op]?.(a, b)) met.set(rule, each.firstElementChild);
  }
  return [...met.values()].map((each) => each.cloneNode(true));
}

async function judge(form) {
  const typed = new URLSearchParams(new FormData(form));
  const half = Boolean(form.elements.systolic_mmhg.value) !== Boolean(form.elements.diastolic_mmhg.value);
  const box = document.getElementById("draft");
  if (off) { box.replaceChildren(...plainly(Object.fromEntries(typed))); return; }
  if (half || !NEXT.some((name) => form.elements[name].value)) { box.replaceChildren(); return; }
  try {
    const answer = await fetch(`/sessions/${session}/try`, { method: "POST", body: typed });
    if (answer.ok) document.getElementById("draft").innerHTML = await answer.text();
  } catch { box.replaceChildren(...plainly(Object.fromEntries(typed))); }
}

// On a tablet the page's own keypad stands under the fields, so that no keyboard covers the flow sheet. The form is
// replaced while the page lives: the keypad is put into each new one, and who listens is the board.
let keyed = NEXT[0];

function keypad() {
  const form = document.getElementById("reading");
  if (!form || !matchMedia("(pointer: coarse)").matches) return;
  for (const name of NEXT) form.elements[name].inputMode = "none";
  if (form.querySelector(".keypad")) return;
  const pad = document.createElement("div");
  pad.className = "keypad";
  pad.setAttribute("role", "group");
  pad.setAttribute("aria-label", "Keypad");
  for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "Clear", "0", "Next"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = key;
    pad.append(button);
  }
  form.querySelector(".pair").after(pad);
}

board.addEventListener("focusin", (event) => {
  if (event.target.closest("#reading") && NEXT.includes(event.target.name)) keyed = event.target.name;
});

board.addEventListener("click", (event) => {
  const key = event.target.closest(".keypad button")?.textContent;
  if (!key) return;
  const form = event.target.closest("form");
  const field = form.elements[keyed];
  if (key === "Next") { const to = NEXT[NEXT.indexOf(keyed) + 1]; if (to) form.elements[to].focus(); else form.querySelector("[name=moaas]").focus(); return; }
  field.value = key === "Clear" ? "" : (field.value + key).slice(0, 3);
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// ---- sending: a reading or an event is kept here first, then sent under its own id

board.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.queues === undefined) {
    if (off) { event.preventDefault(); showNeeds(); form.querySelector("[data-needs-server]")?.scrollIntoView({ block: "center" }); }
    return;
  }
  if (!kept || !window.crypto?.subtle) return; // the form goes the plain way
  event.preventDefault();
  if (sending.has(form.id)) return; // a double tap, or Enter twice: the first is under way
  sending.add(form.id);
  try { await enter(form, event.submitter); } finally { sending.delete(form.id); }
});

const sending = new Set();
const isTwice = (told) => told.code === "request.conflict" && told.about === "term";

async function enter(form, submitter) {
  const data = new FormData(form, submitter);
  for (const name of ["key", "form"]) data.delete(name);
  const fields = [...data.entries()].filter(([, value]) => typeof value === "string" && value.trim() !== "");
  if (form.dataset.queues === "reading" && !fields.length) return fail(form, "A reading holds at least one value.", "systolic_mmhg");
  const now = Date.now();
  const id = await keep(kept, session, form.dataset.queues, fields, { tablet_at: new Date(now).toISOString(), server_at: new Date(now + ahead).toISOString() });
  const told = (await deliver()).find((each) => each.id === id);
  if (told?.state === "refused") {
    await discard(id);
    await showWaiting();
    if (isTwice(told) && form.dataset.queues === "event") return say("This event is recorded already.");
    return fail(form, told.reason, told.about, told.also);
  }
  fail(form, "");
  form.reset();
  drawDraft();
  document.getElementById("draft")?.replaceChildren();
  if (form.id === "reading") form.elements.systolic_mmhg.focus();
  else form.closest("details")?.removeAttribute("open");
  if (told?.state !== "written") document.getElementById("met").textContent = plainly(Object.fromEntries(fields)).map((each) => each.textContent).join(" ");
  say(told?.state === "written" ? `Saved ${hhmm(serverNow())}` : `Kept on this tablet ${hhmm(serverNow())}; sent when the network is back`);
  if (told?.state === "written") await refresh();
}

function fail(sent, reason, about, also = []) {
  const form = document.getElementById(sent.id) ?? sent; // it may have been replaced while the answer was under way
  form.querySelector(".fault-line")?.remove();
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  if (!reason) return;
  const line = document.createElement("p");
  line.className = "fault fault-line";
  line.setAttribute("role", "alert");
  line.textContent = `Not saved: ${[reason, ...also.map((each) => each.refused)].join(" ")}`;
  sender(form)?.before(line);
  for (const each of [...also.map((other) => other.about), about]) { // the first is corrected first
    const field = form.elements[each ?? ""];
    if (field?.focus) { field.setAttribute("aria-invalid", "true"); field.focus(); }
  }
}

// The button that sends a form, not one of the keypad's.
const sender = (form) => form.querySelector("button.action") ?? form.querySelector("button:not([type=button])");

let delivering = null;

async function deliver() {
  while (delivering) await delivering;
  delivering = send(kept);
  try {
    const told = await delivering;
    if (told.some((each) => each.state === "waiting")) online(false);
    else if (told.some((each) => ["written", "refused"].includes(each.state) && !each.before)) online(true);
    if (told.some((each) => each.state === "login")) showLogin();
    else if (told.some((each) => each.state === "written")) ended = false;
    return told;
  } finally {
    delivering = null;
    await showWaiting();
  }
}

// ---- without a network

function online(is) {
  if (is && off) { off = false; offSince = null; showNeeds(); showWaiting(); }
  if (!is && !off) { off = true; offSince = serverNow(); showNeeds(); showWaiting(); }
}

// The network may be there again: what waits is sent; what the server refused stays with its author, with the reason.
async function back() {
  if (!kept) return;
  const told = await deliver();
  for (const each of told) {
    if (each.state !== "refused") continue;
    if (isTwice(each) && each.act === "event") await discard(each.id); // the same tap twice: it stands
    else await markRefused(each.id, each.reason);
  }
  if (told.some((each) => each.state === "waiting")) return;
  if (board.dataset.offline !== undefined) {
    const answer = await fetch(`/sessions/${session}`, { redirect: "manual" }).catch(() => null);
    if (answer?.ok) location.reload();
    else if (answer) showLogin();
    return;
  }
  await showWaiting();
  await refresh();
}

function showNeeds() {
  for (const each of board.querySelectorAll("[data-needs-server]")) each.hidden = !off;
  board.classList.toggle("without-network", off);
}

function showLogin() {
  if (!ended) document.getElementById("stay")?.click(); // asks for password and code where something is typed
  ended = true;
  showWaiting();
}

async function showWaiting() {
  const box = document.getElementById("offline");
  const mine = kept ? await waiting(kept) : [];
  const others = await othersWait(author);
  box.replaceChildren();
  queued = mine.filter((each) => each.act === "reading" && each.session === session && !each.refused).map((each) => ({ at: Date.parse(each.server_at), fields: Object.fromEntries(each.fields) }));
  showQueued();
  const line = (text) => { const p = document.createElement("p"); p.textContent = text; box.append(p); return p; };
  if (ended) {
    const link = document.createElement("a");
    link.href = "/login?ended=1";
    link.textContent = "Log in";
    line("The login has ended. What you entered is kept on this tablet and is sent when you log in again here. ").append(link);
  }
  if (off) {
    const head = line("");
    const strong = document.createElement("strong");
    strong.textContent = `Offline since ${hhmm(offSince ?? serverNow())}. `;
    head.append(strong, `${mine.length === 1 ? "1 entry is" : `${mine.length} entries are`} kept on this tablet and sent when the network is back. Dose, second check, leave and close need the server. Rules are not judged: only values that meet a limit by themselves are warned of here.`);
  } else if (mine.length) line(`${mine.length} ${mine.length === 1 ? "entry waits" : "entries wait"} on this tablet.`);
  for (const each of mine) {
    const item = line(`${hhmm(Date.parse(each.server_at))} ${inWords(each)}${each.session === session ? "" : " (another session)"}${each.refused ? `. Not accepted: ${each.refused}` : ""}`);
    item.className = "waiting";
    if (each.act === "reading") box.append(...plainly(Object.fromEntries(each.fields)));
    if (each.refused) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Discard this entry";
      button.addEventListener("click", async () => { await discard(each.id); await showWaiting(); });
      item.append(" ", button);
    }
  }
  if (others) line(`${others} ${others === 1 ? "entry" : "entries"} of another login ${others === 1 ? "waits" : "wait"} on this tablet. They are sent when that person logs in here.`);
  box.hidden = !box.childElementCount;
}

// The clock and the flow sheet count what waits here, too.
function showQueued() {
  const last = queued.at(-1);
  const clock = board.querySelector("[data-last-reading]");
  if (clock && !last && clock.dataset.before) { // what waited was sent or discarded
    const [since, time, words] = JSON.parse(clock.dataset.before);
    if (since) clock.firstElementChild.dataset.clock = since;
    else delete clock.firstElementChild.dataset.clock;
    [clock.firstElementChild.textContent, clock.lastElementChild.textContent] = [time, words];
    delete clock.dataset.before;
    tick();
  }
  if (last && clock && !(Date.parse(clock.firstElementChild.dataset.clock) >= last.at)) {
    clock.dataset.before ??= JSON.stringify([clock.firstElementChild.dataset.clock, clock.firstElementChild.textContent, clock.lastElementChild.textContent]);
    clock.firstElementChild.dataset.clock = new Date(last.at).toISOString();
    clock.lastElementChild.textContent = `since last reading, ${hhmm(last.at)}, kept on this tablet`;
    tick();
  }
  drawDraft();
}

function inWords(entry) {
  const fields = Object.fromEntries(entry.fields);
  if (entry.act === "event") return fields.term;
  const told = [];
  if (fields.systolic_mmhg) told.push(`${fields.systolic_mmhg}/${fields.diastolic_mmhg ?? "?"} mmHg`);
  if (fields.heart_rate_per_min) told.push(`pulse ${fields.heart_rate_per_min}`);
  if (fields.spo2_pct) told.push(`SpO₂ ${fields.spo2_pct} %`);
  if (fields.moaas) told.push(`alertness ${fields.moaas}`);
  if (fields.dissociated) told.push(`dissociation ${fields.dissociated === "yes" ? "present" : "none"}`);
  return told.join(", ") || "a set of readings";
}

async function remember() {
  if (kept && board.dataset.offline === undefined) await keepSight(kept, session, board.innerHTML, ahead).catch(() => null);
}

// At logout what waits is sent first; if it cannot be, the person decides with open eyes.
document.addEventListener("submit", async (event) => {
  if (!event.target.action?.endsWith("/logout") || event.defaultPrevented || !kept) return;
  event.preventDefault();
  const form = event.target;
  await deliver();
  const left = await waiting(kept);
  if (left.length && !form.dataset.warned) {
    form.dataset.warned = "1";
    document.getElementById("offline").scrollIntoView({ block: "center" });
    say(`${left.length} entries wait. Log out again to leave them sealed on this tablet until you log in here.`);
    const told = document.createElement("p");
    told.textContent = "They are not sent yet. Log out again to leave them sealed on this tablet until you log in here.";
    document.getElementById("offline").append(told);
    return;
  }
  await lock();
  form.submit();
});

async function start() {
  tick();
  setInterval(tick, 1000);
  document.getElementById("summary")?.focus();
  if (!window.indexedDB || !window.isSecureContext) { follow(); keypad(); return; }
  if (board.dataset.offline !== undefined) {
    kept = await unlock("");
    author = kept?.author ?? "";
    const sight = kept && (await lastSight(kept, session));
    if (!sight) {
      board.querySelector("p").textContent = "There is no network, and nothing of this session is kept on this device for a login that holds. It opens again with the network.";
      return;
    }
    ahead = sight.ahead;
    board.innerHTML = sight.html;
    off = true;
    offSince = serverNow();
    tick();
    showNeeds();
    await showWaiting();
    keypad();
    addEventListener("online", back);
    setInterval(back, 5000);
    return;
  }
  kept = await unlock(author);
  follow();
  keypad();
  await remember();
  addEventListener("online", back);
  addEventListener("offline", () => online(false));
  if (kept) await back();
  if ("serviceWorker" in navigator) await navigator.serviceWorker.register("/service-worker.js").catch(() => null);
  document.documentElement.dataset.ready = "1";
}

start();
