// Small conveniences; every page works without them.
"use strict";

// Times are rendered in UTC; a reader's own zone is one look away.
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!time.title && !isNaN(at)) time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

// What takes longer than a blink shows that it is under way, and a form is not
// sent twice by an impatient second click.
{
  const root = document.documentElement;
  let soon = 0;
  const busy = () => {
    clearTimeout(soon);
    soon = setTimeout(() => root.classList.add("busy"), 300);
  };
  const idle = () => {
    clearTimeout(soon);
    root.classList.remove("busy");
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    if (form.method === "post") form.dataset.sent = "yes";
    busy();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin || link.target || link.hasAttribute("download") || link.pathname.endsWith(".csv")) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    busy();
  });
  addEventListener("pageshow", idle); // also one that comes back from the history
  addEventListener("keydown", (event) => event.key === "Escape" && idle()); // the browser has stopped loading
}
