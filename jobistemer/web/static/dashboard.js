// Loads the page again every few seconds and replaces its content. Scroll positions, focus and unfolded details are
// kept. It waits while the user writes, selects text or has chosen rows. All pages work without this script.
"use strict";
const EVERY_MS = 3000, live = document.getElementById("live"), away = document.getElementById("away");
const paused = () => live.getAttribute("aria-pressed") === "false";
const show = (on) => { live.setAttribute("aria-pressed", String(on)); live.textContent = on ? "Live" : "Paused"; };

const busy = () => {
  const at = document.activeElement, main = document.getElementById("main");
  const writes = at && main.contains(at) && at.matches("input:not([type=checkbox]), select, textarea");
  return paused() || document.hidden || writes || !getSelection().isCollapsed
    || main.querySelector("details.menu[open], input:checked, form.login, input[name=confirmed]");
};
const keyOf = (each) => each.id || each.getAttribute("href") || each.className;
const find = (main, key) => [...main.querySelectorAll("a, button, summary, [tabindex]")].find((each) => keyOf(each) === key);

const place = (fresh) => {
  const old = document.getElementById("main"), at = document.activeElement;
  const key = old.contains(at) ? keyOf(at) : null;
  const left = [...old.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const folded = new Map([...old.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
  for (const each of fresh.querySelectorAll("details[id]")) if (folded.has(each.id)) each.open = folded.get(each.id);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((each, n) => { if (n in left) each.scrollLeft = left[n]; });
  if (key) find(fresh, key)?.focus({ preventScroll: true });
};

const refresh = async () => {
  if (busy()) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html"), main = page.getElementById("main");
    if (answer.redirected || !main) { location.reload(); return; }
    if (busy()) return;
    place(document.adoptNode(main));
    document.querySelector("footer").replaceWith(document.adoptNode(page.querySelector("footer")));
    away.hidden = true;
  } catch { away.hidden = false; }
};

if (live) {
  live.hidden = false;
  show(sessionStorage.getItem("paused") !== "yes");
  live.addEventListener("click", () => { sessionStorage.setItem("paused", paused() ? "no" : "yes"); show(paused()); });
  // The response to a form is not loaded again: its address would be requested with GET instead of POST.
  if (!location.pathname.startsWith("/actions/")) setInterval(refresh, EVERY_MS);
}
