// The import pages: sending a file, following an import, the live list. Without
// this script the forms are sent as they are and the pages load themselves again.
(() => {
  const number = new Intl.NumberFormat("en-US");
  const megabytes = (bytes) => number.format(Math.round(bytes / 104857.6) / 10) + " MiB";

  // Sending a file: the form goes by XMLHttpRequest, which tells how far it is.
  for (const form of document.querySelectorAll("form[data-upload]")) {
    const input = form.querySelector("input[type=file]");
    const drop = form.querySelector(".drop");
    const sending = form.querySelector(".sending");
    const bar = sending.querySelector("progress");
    const state = sending.querySelector("[role=status]");
    const stop = sending.querySelector("button");
    const submit = form.querySelector("button[type=submit]");
    let request = null;

    const complain = (text) => {
      let note = form.parentElement.querySelector("[role=alert]");
      if (!note) {
        note = document.createElement("div");
        note.className = "note bad";
        note.setAttribute("role", "alert");
        note.append(document.createElement("p"));
        form.before(note);
      }
      note.hidden = !text;
      note.firstElementChild.textContent = text;
    };
    const fits = () => {
      const file = input.files[0];
      const tooLarge = file && input.dataset.max && file.size > Number(input.dataset.max);
      complain(tooLarge ? input.dataset.tooLarge : "");
      return !tooLarge;
    };
    const busy = (on) => {
      sending.hidden = !on;
      submit.disabled = on;
    };

    // A file is needed unless rows were pasted.
    const pasted = form.querySelector("textarea[name=pasted]");
    const either = () => {
      input.required = !pasted.value.trim();
    };
    pasted.addEventListener("input", either);
    addEventListener("pageshow", either); // the browser may have kept the text
    either();

    form.classList.add("can-drop");
    input.addEventListener("change", fits);
    for (const kind of ["dragenter", "dragover"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    drop.addEventListener("dragleave", (event) => {
      if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
    });
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        fits();
      }
    });
    stop.addEventListener("click", () => request?.abort());

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (request || !fits()) return;
      request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.upload.addEventListener("progress", (sent) => {
        bar.value = (100 * sent.loaded) / sent.total;
        state.textContent = megabytes(sent.loaded) + " of " + megabytes(sent.total);
      });
      request.upload.addEventListener("load", () => {
        bar.removeAttribute("value");
        state.textContent = "Checking the file";
      });
      request.addEventListener("load", () => {
        if (request.status < 400) {
          location.assign(request.responseURL);
          return;
        }
        const page = new DOMParser().parseFromString(request.responseText, "text/html");
        complain((page.querySelector("[role=alert]") ?? page.querySelector("main"))?.textContent.trim() ?? "The upload failed. Try again.");
      });
      request.addEventListener("error", () => complain("Connection lost. Try again."));
      request.addEventListener("loadend", () => {
        if (request.status && request.status < 400) return; // on the way to the next page
        request = null;
        busy(false);
      });
      complain("");
      busy(true);
      bar.value = 0;
      state.textContent = "Uploading";
      request.send(new FormData(form));
    });
    addEventListener("pageshow", (event) => {
      if (event.persisted) {
        request = null;
        busy(false);
      }
    });
  }

  // Following an import: by events, or by asking when those do not get through.
  const followed = document.querySelector("[data-live-import]");
  if (followed) follow(followed.dataset.liveImport, followed.dataset.status);

  function follow(path, status) {
    const bar = followed.querySelector("progress");
    const paceText = followed.querySelector("[data-pace]");
    const say = followed.querySelector("[data-say]");
    let samples = [];
    let said = 0;

    const show = (p) => {
      if (p.status !== status || !p.live) {
        location.reload();
        return false;
      }
      for (const [name, text] of Object.entries(p.texts)) {
        const element = document.querySelector('[data-live="' + name + '"]');
        if (element && element.textContent !== text) element.textContent = text;
      }
      if (!bar) return true;
      if (p.all > 0) {
        bar.max = p.all;
        bar.value = p.done;
      }
      const now = performance.now();
      samples = [...samples.filter((s) => now - s.at < 10000), { at: now, done: p.done }];
      paceText.textContent = pace(samples, p.all - p.done);
      if (now - said > 15000) {
        said = now;
        say.textContent = p.texts.counted;
      }
      return true;
    };

    let asking = false;
    const ask = async () => {
      asking = true;
      try {
        const answer = await fetch(path + "/progress", { headers: { Accept: "application/json" } });
        if (answer.redirected || answer.status === 403 || answer.status === 404) {
          location.reload(); // signed out meanwhile
          return;
        }
        if (answer.ok && !show(await answer.json())) return;
      } catch {
        // The server is away for a moment.
      }
      setTimeout(ask, 2000);
    };

    if (!window.EventSource) {
      ask();
      return;
    }
    const events = new EventSource(path + "/events");
    let failures = 0;
    const read = (event) => {
      failures = 0;
      if (!show(JSON.parse(event.data))) events.close();
    };
    events.addEventListener("progress", read);
    events.addEventListener("end", read);
    events.addEventListener("error", () => {
      if (++failures > 3 || events.readyState === EventSource.CLOSED) {
        events.close();
        if (!asking) ask();
      }
    });
    addEventListener("pagehide", () => events.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  // pace says how fast it goes and how long it will take at that.
  function pace(samples, left) {
    const first = samples[0];
    const last = samples.at(-1);
    const seconds = (last.at - first.at) / 1000;
    if (seconds < 1 || last.done === first.done) return "";
    const rate = (last.done - first.done) / seconds;
    const text = "· " + number.format(Math.round(rate)) + " rows per second";
    return left > 0 ? text + " · " + duration(left / rate) + " left" : text;
  }

  function duration(seconds) {
    if (seconds < 60) return "less than a minute";
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return "about " + (minutes === 1 ? "1 minute" : minutes + " minutes");
    return "about " + Math.round(minutes / 60) + " hours";
  }

  // The list of imports takes its rows from a fresh copy of the page.
  const renew = async () => {
    const list = document.querySelector("[data-live-list]");
    if (!list) return;
    if (!document.hidden && !list.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.href);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("table.list");
        if (answer.redirected || !fresh) return;
        list.tBodies[0].replaceWith(fresh.tBodies[0]);
        if (!fresh.hasAttribute("data-live-list")) return;
      } catch {
        // The server is away for a moment.
      }
    }
    setTimeout(renew, 3000);
  };
  if (document.querySelector("[data-live-list]")) setTimeout(renew, 3000);
})();
