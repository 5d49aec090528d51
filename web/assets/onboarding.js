
// A part of a page that changes while mail goes out is taken from a fresh copy.
(() => {
  const renew = async () => {
    const part = document.querySelector("[data-live-part]");
    if (!part) return;
    if (!document.hidden && !part.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.href);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById(part.id);
        if (answer.redirected || !fresh) return;
        for (const [i, details] of fresh.querySelectorAll("details").entries()) {
          details.open = part.querySelectorAll("details")[i]?.open ?? false;
        }
        part.replaceWith(fresh);
      } catch {
        // The server is away for a moment.
      }
    }
    setTimeout(renew, 5000);
  };
  if (document.querySelector("[data-live-part]")) setTimeout(renew, 5000);
})();
