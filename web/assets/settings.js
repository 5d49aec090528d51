
// Settings > Invitation: the preview follows what is typed.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const frame = document.querySelector("[data-preview-html]");
  const problem = document.querySelector("[data-preview-problem]");
  if (!frame || !problem) break;
  let soon = 0;
  let newest = 0;
  const renew = async () => {
    const turn = ++newest;
    try {
      const answer = await fetch(form.action + "?" + new URLSearchParams(new FormData(form)));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (turn !== newest || answer.redirected) return;
      problem.textContent = page.querySelector("#problems ul")?.textContent.trim() ?? "";
      problem.hidden = !problem.textContent;
      const fresh = page.querySelector("[data-preview-html]");
      if (!fresh) return;
      for (const part of ["[data-preview-subject]", "[data-preview-text]"]) {
        document.querySelector(part).textContent = page.querySelector(part).textContent;
      }
      frame.contentWindow.location.replace(fresh.src); // leaves no entry in the history
    } catch {
      // The server is away for a moment.
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(renew, 400);
  });
}
