// Editing failed cells in the preview: Enter checks the row on the server and goes to
// the next failed cell. Without this script each row is a form of its own.
(() => {
  const table = () => document.querySelector("table.preview");
  if (!table()) return;
  const say = (text) => {
    const status = document.querySelector("[data-edit-say]");
    if (status) status.textContent = text;
  };
  const cells = () => [...table().querySelectorAll('input[name^="cell."]')];
  const rowOf = (element) => element.closest("tr[data-row]");

  // After the one that had the focus; the end of the page leads to the button that imports.
  const next = (row, from) => {
    const all = cells();
    const target = all.find((cell) => Number(rowOf(cell).dataset.row) > row || (from && rowOf(cell) === rowOf(from) && all.indexOf(cell) > all.indexOf(from)));
    (target ?? all.find((cell) => Number(rowOf(cell).dataset.row) !== row) ?? document.querySelector("button[form=confirm]"))?.focus();
    if (target) target.select();
  };

  // What an edit changes elsewhere comes from a fresh copy of the page. Choices that were
  // made there stay.
  const renew = (page) => {
    const choices = [...document.querySelectorAll("#confirm input[name=send_invitations], #confirm input[name=notify]")].map((input) => [input.name, input.value, input.checked]);
    for (const part of ["section.state", "nav.which", "[data-suggested]"]) {
      const [old, fresh] = [document.querySelector(part), page.querySelector(part)];
      if (!old || !fresh) continue;
      if (old.querySelector("details[open]")) fresh.querySelector("details")?.setAttribute("open", "");
      old.replaceWith(fresh);
    }
    for (const [name, value, checked] of choices) {
      const input = document.querySelector('#confirm input[name="' + name + '"][value="' + value + '"]');
      if (input) input.checked = checked;
    }
    for (const fresh of page.querySelectorAll("tr[data-row]")) document.getElementById(fresh.id)?.replaceWith(fresh);
  };

  let busy = false;
  const send = async (form, submitter) => {
    const row = Number(form.dataset.editRow);
    const action = new URL(form.action);
    action.searchParams.set("part", "rows");
    busy = true;
    table().setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(action, { method: "POST", body: new URLSearchParams(new FormData(form, submitter)), redirect: "manual" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok) {
        if (answer.type === "opaqueredirect" || answer.status === 403 || answer.status === 404) return location.reload();
        return say((page.querySelector("[role=alert]") ?? page.querySelector("main"))?.textContent.trim() || "The row could not be saved. Try again.");
      }
      renew(page);
      const now = document.getElementById("row-" + row);
      const failed = document.querySelector(".which a[href*='show=fail'] span")?.textContent ?? "";
      const wrong = now?.querySelector('input[name^="cell."]');
      if (wrong) {
        say("Row " + row + ": " + [...now.querySelectorAll(".problem")].map((p) => p.textContent).join(" "));
        wrong.focus();
      } else {
        say("Row " + row + " is valid. Failed rows left: " + (failed || "0") + ".");
        next(row);
      }
    } catch {
      say("Connection lost. Try again.");
    } finally {
      busy = false;
      table()?.removeAttribute("aria-busy");
    }
  };

  addEventListener("submit", (event) => {
    if (!event.target.dataset.editRow) return;
    event.preventDefault();
    if (!busy) send(event.target, event.submitter);
  }, true);
  addEventListener("keydown", (event) => {
    const cell = event.target;
    if (!(cell instanceof HTMLInputElement) || !cell.name.startsWith("cell.") || event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault();
      cell.value = cell.defaultValue;
      say("Value restored.");
    }
    if (event.key === "Enter") {
      event.preventDefault(); // else the browser would press the first button of the form, which may take a suggestion
      const same = cells().filter((other) => other.form === cell.form).every((other) => other.value === other.defaultValue);
      if (same) next(Number(rowOf(cell).dataset.row), cell);
      else cell.form.requestSubmit(cell.form.querySelector("button"));
    }
  });
})();
