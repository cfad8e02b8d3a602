// Where somebody is on a page, while parts of it are replaced: a keyboard goes on where it was.

// What had the focus, or what stands in its place now: the same link, or the same button of the same form.
export function placeOf(old, within) {
  if (!old || old.isConnected) return old;
  if (old.id) return document.getElementById(old.id);
  return [...within.querySelectorAll(old.localName)].find((each) => told(each) === told(old));
}

function told(each) {
  const about = [...(each.form?.querySelectorAll("[type=hidden][name$=_id]") ?? [])].map((field) => field.value);
  const form = each.form && (each.form.id || each.form.getAttribute("action"));
  return [each.localName, form, ...about, each.name, each.value, each.getAttribute("href"), each.textContent].join("|");
}
