// Hands the token behind the # over at once, and takes it out of the address and the history.
function open() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.getElementById("open").submit();
}

open();
addEventListener("hashchange", open);
