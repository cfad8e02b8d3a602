// The rules answer as one types: the form is sent to be judged, nothing is kept. Without scripts a button does the same.
const box = document.querySelector("[data-try]");
const soFar = document.getElementById("so-far");
const form = document.querySelector("[data-tried]") ?? document.getElementById("form-interview");
let waiting = null;
let asked = 0;

form?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(judge, 350);
});

async function judge() {
  const mine = ++asked;
  const typed = new URLSearchParams(new FormData(form));
  for (const name of [...typed.keys()]) if (/password|code/.test(name)) typed.delete(name); // nothing is signed by looking
  try {
    const answer = await fetch(box.dataset.try, { method: "POST", body: typed, redirect: "manual" });
    if (!answer.ok || mine !== asked) return; // a later one was sent meanwhile
    const open = new Set([...box.querySelectorAll("details[open] > summary")].map(nameOf));
    const fresh = document.createElement("div");
    fresh.innerHTML = await answer.text();
    for (const each of fresh.querySelectorAll("details > summary")) each.parentElement.open = open.has(nameOf(each));
    if (mine !== asked) return;
    mark(fresh);
    box.replaceChildren(...fresh.childNodes);
  } catch { /* the rules are judged again when it is saved */ }
}

// What is refused is said at its field, and beside Save, where one looks: the rules stand further away on a narrow screen.
function mark(fresh) {
  const count = fresh.querySelector("[data-count]");
  if (soFar && count) soFar.innerHTML = count.innerHTML;
  for (const each of form.querySelectorAll(".fault")) each.remove();
  for (const each of form.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-describedby");
  }
  const fault = fresh.querySelector("[data-about]");
  const field = fault && form.elements.namedItem(fault.dataset.about);
  if (!(field instanceof Element)) return; // none, or the buttons of one question
  const said = document.createElement("span");
  said.className = "fault";
  said.id = `${field.id}-fault`;
  said.textContent = fault.textContent.trim();
  field.before(said);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", said.id);
}

const nameOf = (summary) => summary.textContent.replace(/\d+/g, "");
