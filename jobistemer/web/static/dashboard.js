// Loads the page again every few seconds and replaces its content. Scroll positions, focus, choices and unfolded details
// are kept. It waits while the user writes, selects text or points at rows that move. All pages work without this script.
"use strict";
const EVERY_MS = 3000, GIVE_UP_MS = 6000;
const live = document.getElementById("live"), away = document.getElementById("away"), news = document.getElementById("news");
const main = () => document.getElementById("main");
const paused = () => live.getAttribute("aria-pressed") === "false";
let held = "", seenAt = Date.now(), mark = "";
const show = (on) => { live.setAttribute("aria-pressed", String(on)); tell(); };
const tell = () => { live.textContent = paused() ? "Paused" : held ? `Held: ${held}` : away.hidden ? "Live" : "Not live"; };

const changed = (each) => (each.type === "checkbox" ? each.checked !== each.defaultChecked : each.matches("select") ? each.selectedIndex > 0 && !each.options[each.selectedIndex].defaultSelected : each.value !== each.defaultValue);

// Why a page is not loaded now; empty when it may be.
const reason = () => {
  const at = document.activeElement;
  if (at && main().contains(at) && at.matches("input:not([type=checkbox]), select, textarea")) return "typing";
  if (!getSelection().isCollapsed && main().contains(getSelection().anchorNode)) return "text selected";
  if (main().querySelector("details.menu[open], form.login:not(.answer), .box input[name=confirmed]")) return "a form is open";
  if ([...main().querySelectorAll(".answer :is(input, textarea, select)")].some(changed)) return "an answer is begun";
  return main().querySelector("[data-moves]:hover") ? "pointer on the list" : "";
};
const keyOf = (each) => each.id || each.getAttribute("href") || each.className;
// Several links may lead to the same page, so each has its number among them.
const alike = (where, key) => [...where.querySelectorAll("a, button, summary, input, [tabindex]")].filter((each) => keyOf(each) === key);

// What scrolls by itself, by a key that the next page has too. A log that was at its end follows it.
const scrolling = (where) => [...where.querySelectorAll(".scroll, pre, .log, .targets")].map((each, n) => [each.id || each.dataset.key || `${each.className}-${n}`, each]);
const atEnd = (each) => each.matches(".log") && each.scrollHeight - each.scrollTop - each.clientHeight < 4;

const place = (fresh) => {
  const old = main(), at = document.activeElement;
  const key = old.contains(at) ? keyOf(at) : null, number = key ? alike(old, key).indexOf(at) : 0;
  const places = new Map(scrolling(old).map(([name, each]) => [name, [each.scrollLeft, each.scrollTop, atEnd(each)]]));
  const folded = new Map([...old.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
  const chosen = new Set([...old.querySelectorAll("input[type=checkbox][name=target]:checked")].map((each) => each.value));
  for (const each of fresh.querySelectorAll("details[id]")) if (folded.has(each.id)) each.open = folded.get(each.id);
  for (const each of fresh.querySelectorAll("input[type=checkbox][name=target]")) each.checked = chosen.has(each.value);
  const bad = (where) => where.querySelectorAll(".state.bad, .notices .bad").length, more = bad(fresh) - bad(old);
  old.replaceWith(fresh);
  for (const [name, each] of scrolling(fresh)) {
    const [left, top, end] = places.get(name) || [0, 0, false];
    each.scrollLeft = left;
    each.scrollTop = end ? each.scrollHeight : top;
  }
  if (key) alike(fresh, key).slice(0, number + 1).pop()?.focus({ preventScroll: true });
  if (more > 0) news.textContent = more === 1 ? "1 new failure" : `${more} new failures`;
  prepare();
};

const load = async () => {
  const stop = new AbortController(), alarm = setTimeout(() => stop.abort(), GIVE_UP_MS);
  try {
    const headers = { accept: "text/html", ...(mark && { "if-none-match": mark }) };
    const answer = await fetch(location.href, { headers, cache: "no-store", signal: stop.signal });
    if (answer.status === 304) { keep(Number(answer.headers.get("jobistemer-now"))); return; }
    if (answer.status >= 500 || answer.status === 429) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected || !page.getElementById("main")) { location.reload(); return; }
    if (paused() || reason()) return;
    place(document.adoptNode(page.getElementById("main")));
    document.querySelector("footer").replaceWith(document.adoptNode(page.querySelector("footer")));
    document.title = page.title;
    mark = answer.headers.get("etag") || "";
    seenAt = Date.now();
    lost(false);
  } catch { lost(true); } finally { clearTimeout(alarm); }
};
// Nothing has changed but the time: the page stays as it is, with distances from now and the time at its foot.
const duration = (ms) => {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${ms < 10000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;
  const [size, unit, part, name] = [[864e5, "d", 36e5, "h"], [36e5, "h", 6e4, "min"], [6e4, "min", 1e3, "s"]].find(([least]) => ms >= least);
  const parts = Math.round(ms / part), per = size / part, whole = Math.floor(parts / per), rest = parts % per;
  return whole >= 10 ? `${Math.round(ms / size)} ${unit}` : `${whole} ${unit}${rest ? ` ${rest} ${name}` : ""}`;
};
const distance = (at, now) => (Math.abs(at - now) < 1000 ? "now" : at > now ? `in ${duration(at - now)}` : `${duration(now - at)} ago`);
const keep = (now) => {
  for (const each of main().querySelectorAll("time[datetime] > small")) each.textContent = distance(Date.parse(each.parentNode.getAttribute("datetime")), now);
  document.querySelector("footer time").textContent = new Date(now).toISOString().slice(0, 19).replace("T", " ");
  seenAt = Date.now();
  lost(false);
};
const lost = (is) => {
  away.hidden = !is;
  document.body.classList.toggle("stale", is);
  const as_of = document.querySelector("footer time")?.textContent || "";
  if (is) away.textContent = `The server has been silent for ${Math.round((Date.now() - seenAt) / 1000)} s. What you see is of ${as_of} UTC; it is tried again.`;
  tell();
};
// One request at a time: the next one is begun when this one has ended.
const refresh = async () => {
  held = reason();
  tell();
  if (!held && !paused() && !document.hidden) await load();
};
const again = async () => { await refresh(); setTimeout(again, EVERY_MS); };

// Buttons for the chosen rows, times in the zone of the browser, the end of logs.
const count = () => {
  for (const bulk of document.querySelectorAll(".bulk")) {
    const chosen = main().querySelectorAll("input[name=target]:checked").length;
    bulk.querySelector("output").textContent = String(chosen);
    for (const each of bulk.querySelectorAll("button")) each.disabled = chosen === 0;
  }
};
const zone = document.getElementById("zone"), two = (n) => String(n).padStart(2, "0");
const inZone = () => localStorage.getItem("zone") === "local";
const zoned = () => {
  if (!zone || !inZone()) return;
  for (const each of main().querySelectorAll("time[datetime]")) {
    const at = new Date(each.getAttribute("datetime")), today = at.toDateString() === new Date().toDateString();
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const day = `${two(at.getDate())} ${at.toLocaleString("en", { month: "short" })}`;
    if (each.firstChild.nodeType === Node.TEXT_NODE) each.firstChild.textContent = today ? `${clock}:${two(at.getSeconds())} ` : `${day} ${clock} `;
  }
  for (const each of main().querySelectorAll("th, dt, [data-label]")) {
    if (each.textContent.endsWith("(UTC)")) each.textContent = each.textContent.replace("(UTC)", "(local)");
  }
};
const prepare = () => { count(); zoned(); };

// Keys: / searches, g and a letter opens a page, j and k go through rows, x chooses, ? shows this.
const PAGES = { o: 0, j: 1, r: 2, q: 3, d: 4, w: 5, c: 6 };
let going = false;
const step = (by) => {
  const rows = [...main().querySelectorAll("tbody tr")].filter((row) => row.querySelector("a"));
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[Math.min(Math.max(at + by, 0), rows.length - 1)]?.querySelector("a").focus();
};
const along = (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], strip = event.target.closest?.(".strip, .timeline");
  if (!by || !strip) return false;
  const cells = [...strip.querySelectorAll("a")], at = cells.indexOf(event.target);
  cells[at < 0 ? (by > 0 ? 0 : cells.length - 1) : Math.min(Math.max(at + by, 0), cells.length - 1)]?.focus();
  return true;
};
// A click in a row follows its first link, unless it meets something else, a text to read, or ends a selection.
const follow = (event) => {
  const at = event.target, row = at.closest("tbody tr");
  if (!row || at.closest("a, button, input, label, summary, select, code, td.wide") || !getSelection().isCollapsed) return;
  if (at.closest("td.choose")) row.querySelector("input[type=checkbox]").click();
  else if (event.ctrlKey || event.metaKey) open(row.querySelector("td > a")?.href);
  else row.querySelector("td > a")?.click();
};
const press = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (along(event)) { event.preventDefault(); return; }
  const links = [...document.querySelectorAll("header nav a")];
  if (going && event.key in PAGES) links[PAGES[event.key]]?.click();
  else if (event.key === "/") { event.preventDefault(); document.querySelector(".find input")?.focus(); }
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  else if (event.key === "x") { document.activeElement.closest?.("tr")?.querySelector("input[type=checkbox]")?.click(); }
  else if (event.key === "?") { const keys = document.getElementById("keys"); if (keys) keys.hidden = !keys.hidden; }
  going = event.key === "g" && !going;
};

if (live) {
  live.hidden = false;
  show(sessionStorage.getItem("paused") !== "yes");
  live.addEventListener("click", () => { sessionStorage.setItem("paused", paused() ? "no" : "yes"); show(paused()); });
  zone.hidden = false;
  zone.textContent = inZone() ? "Local time" : "UTC";
  zone.addEventListener("click", () => { localStorage.setItem("zone", inZone() ? "utc" : "local"); location.reload(); });
  document.addEventListener("keydown", press);
  document.addEventListener("change", count);
  document.addEventListener("click", follow);
  document.body.classList.add("scripted");
  for (const each of main().querySelectorAll(".log")) each.scrollTop = each.scrollHeight;
  prepare();
  document.querySelector("header nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  // The response to a form is not loaded again: its address would be requested with GET instead of POST.
  if (!location.pathname.includes("/actions/")) setTimeout(again, EVERY_MS);
}
