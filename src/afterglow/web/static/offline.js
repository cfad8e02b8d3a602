// What a session keeps on this device while there is no network: entries under ids of their own, and the last sight of
// the page. Everything is encrypted with a key that the server gives to whoever is logged in, cannot be read out again
// by a script, and is thrown away at logout. An entry is bound to its author: nobody else's login can read or send it.
const NAME = "afterglow-offline";
const SIGHTS = 3;

function database() {
  return new Promise((done, failed) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("keys", { keyPath: "author" });
      asked.result.createObjectStore("entries", { keyPath: "id" });
      asked.result.createObjectStore("sights", { keyPath: "session" });
    };
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

async function work(store, mode, act) {
  const open = await database();
  try {
    return await new Promise((done, failed) => {
      const within = open.transaction(store, mode, { durability: "strict" });
      const asked = act(within.objectStore(store));
      within.oncomplete = () => done(asked?.result);
      within.onerror = within.onabort = () => failed(within.error);
    });
  } finally {
    open.close();
  }
}

const every = (store) => work(store, "readonly", (each) => each.getAll());
const put = (store, value) => work(store, "readwrite", (each) => each.put(value));
const drop = (store, id) => work(store, "readwrite", (each) => each.delete(id));
const empty = (store) => work(store, "readwrite", (each) => each.clear());

async function seal(kept, about, value) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: bytes(about) }, kept.key, bytes(JSON.stringify(value)));
  return { iv, data };
}

async function unseal(kept, about, sealed) {
  const data = await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.iv, additionalData: bytes(about) }, kept.key, sealed.data);
  return JSON.parse(new TextDecoder().decode(data));
}

const bytes = (text) => new TextEncoder().encode(text);
const about = (each) => `${each.author}|${each.session}|${each.id ?? "sight"}`;

// The key of whoever is logged in: asked of the server where there is a network, else the one that this device holds.
export async function unlock(author) {
  const held = await every("keys");
  for (const each of held) if (author && each.author !== author) await lock();
  if (!author) return held[0] ?? null;
  try {
    const answer = await fetch("/offline/key", { headers: { Accept: "application/json" } });
    if (!answer.ok) return null;
    const told = await answer.json();
    if (told.author !== author) return null;
    const raw = Uint8Array.from(atob(told.key), (letter) => letter.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    const kept = { author, key };
    await put("keys", kept);
    return kept;
  } catch {
    return held.find((each) => each.author === author) ?? null;
  }
}

// At logout: the key and what was seen are gone. Entries that wait stay sealed until their author logs in here again.
export async function lock() {
  await empty("keys");
  await empty("sights");
}

export async function keep(kept, session, act, fields, times) {
  const entry = { id: crypto.randomUUID(), session, author: kept.author, act, at: Date.now() };
  await put("entries", { ...entry, ...(await seal(kept, about(entry), { fields, ...times })) });
  return entry.id;
}

export async function waiting(kept) {
  const found = [];
  for (const each of (await every("entries")).sort((a, b) => a.at - b.at)) {
    if (each.author !== kept.author) continue;
    found.push({ id: each.id, session: each.session, act: each.act, at: each.at, refused: each.refused ?? "", ...(await unseal(kept, about(each), each)) });
  }
  return found;
}

export async function othersWait(author) {
  return (await every("entries")).filter((each) => each.author !== author).length;
}

export const discard = (id) => drop("entries", id);

// Sends what waits, in order, each under its own id, so that a repeated sending is answered and not written again.
// Gives what became of each: written, refused with its reason, or still waiting because nothing came back.
export async function send(kept) {
  const told = [];
  for (const each of await waiting(kept)) {
    if (each.refused) { told.push({ id: each.id, state: "refused", reason: each.refused, before: true }); continue; }
    const form = new URLSearchParams(each.fields);
    form.set("key", each.id);
    form.set("id", each.id);
    form.set("tablet_at", each.tablet_at);
    if (!form.get("taken") && !form.get("started")) form.set("taken_at", each.server_at);
    let answer;
    try {
      answer = await fetch(`/sessions/${each.session}/${each.act}`, { method: "POST", body: form, headers: { Accept: "application/json" } });
    } catch {
      told.push({ id: each.id, state: "waiting" });
      break;
    }
    if (answer.ok) {
      await drop("entries", each.id);
      told.push({ id: each.id, state: "written" });
    } else if ([401, 429, 500, 502, 503, 504].includes(answer.status)) {
      told.push({ id: each.id, state: answer.status === 401 ? "login" : "waiting" });
      break;
    } else {
      const said = await answer.json().catch(() => ({ refused: `The server answered ${answer.status}.` }));
      told.push({ id: each.id, act: each.act, state: "refused", reason: said.refused, about: said.about, also: said.also, code: said.code });
    }
  }
  return told;
}

export async function markRefused(id, reason) {
  const entry = await work("entries", "readonly", (each) => each.get(id));
  if (entry) await put("entries", { ...entry, refused: reason });
}

export async function keepSight(kept, session, html, ahead) {
  const sight = { session, author: kept.author, at: Date.now() };
  await put("sights", { ...sight, ...(await seal(kept, about(sight), { html, ahead })) });
  const old = (await every("sights")).sort((a, b) => b.at - a.at).slice(SIGHTS);
  for (const each of old) await drop("sights", each.session);
}

export async function sights(kept) {
  return (await every("sights")).filter((each) => each.author === kept.author).sort((a, b) => b.at - a.at);
}

export async function lastSight(kept, session) {
  const found = (await every("sights")).find((each) => each.session === session && each.author === kept.author);
  return found ? { at: found.at, ...(await unseal(kept, about(found), found)) } : null;
}
