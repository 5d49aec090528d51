
// Users: choose all, and how many are chosen.
for (const form of document.querySelectorAll("form[data-bulk]")) {
  const boxes = [...form.querySelectorAll("input[name=user]")];
  const label = form.querySelector("[data-all]");
  const all = label.querySelector("input");
  const submit = form.querySelector("button[type=submit]");
  const told = form.querySelector("[data-count]");
  const tell = () => {
    const n = boxes.filter((box) => box.checked).length;
    told.textContent = n ? n + " selected" : "";
    submit.disabled = n === 0;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
  };
  label.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; tell(); });
  form.addEventListener("change", tell);
  addEventListener("pageshow", tell); // a page from the history keeps its ticks
  tell();
}

// Passwords: show what is typed, and of a new one say how much is missing.
for (const input of document.querySelectorAll("input[autocomplete=current-password], input[autocomplete=new-password][minlength]")) {
  const words = input.dataset; // of pages in several languages
  const hint = document.getElementById("hint");
  if (hint) {
    const before = hint.textContent;
    const least = input.minLength;
    const tell = () => {
      const n = [...input.value.normalize("NFKC")].length; // characters, as the server counts them
      hint.classList.toggle("enough", n >= least);
      const more = least - n;
      const missing = words.missing?.replace("{n}", more) ?? more + (more === 1 ? " more character needed" : " more characters needed");
      hint.textContent = n === 0 ? before : n < least ? missing : words.enough ?? "Long enough";
    };
    hint.setAttribute("role", "status");
    input.addEventListener("input", tell);
  }

  const again = document.getElementById("again");
  const row = document.createElement("span");
  const show = document.createElement("button");
  row.className = "reveal";
  show.type = "button";
  const name = document.createElement("span");
  name.className = "hidden";
  name.textContent = " " + (words.what ?? "the password");
  show.append(words.show ?? "Show", name);
  show.addEventListener("click", () => {
    const shown = input.type === "password";
    for (const field of [input, again]) if (field) field.type = shown ? "text" : "password";
    show.firstChild.data = shown ? words.hide ?? "Hide" : words.show ?? "Show";
  });
  const focused = document.activeElement === input || input.autofocus;
  input.replaceWith(row);
  row.append(input, show);
  if (focused) input.focus();
  // Shown passwords are not offered to be remembered as plain text.
  if (input.form) input.form.addEventListener("submit", () => { for (const field of [input, again]) if (field) field.type = "password"; });
}

// A new token: one click selects all of it.
for (const input of document.querySelectorAll("input[data-copy]")) {
  input.addEventListener("focus", () => input.select());
}
