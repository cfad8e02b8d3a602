// Without a network: the sessions that this device keeps for whoever is logged in, the latest first. No name stands here.
import { sights, unlock } from "/static/offline.js";

const box = document.getElementById("kept");
const kept = window.indexedDB ? await unlock("").catch(() => null) : null;
for (const each of kept ? await sights(kept) : []) {
  const link = document.createElement("a");
  link.href = `/sessions/${each.session}`;
  link.textContent = `Session, seen last ${new Date(each.at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
  const item = document.createElement("li");
  item.append(link);
  box.querySelector("ul").append(item);
  box.hidden = false;
}
addEventListener("online", () => location.reload());
