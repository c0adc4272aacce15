/* What a page cannot do by itself. Every page works without this file; it only makes things quicker.
   No inline handlers anywhere: controls say what they want with data-… attributes. */
(() => {
  "use strict";
  const KEPT = "sendwright:kept:";
  const AN_HOUR = 3600 * 1000;
  const A_WEEK = 7 * 24 * AN_HOUR;
  const on = (name, act) => document.addEventListener(name, act);
  const say = (text) => {
    const status = document.getElementById("status");
    if (!status) return;
    status.textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { if (status.textContent === text) status.textContent = ""; }, 6000);
  };

  /* Copy: <button data-copy="text"><span data-copied="Copied">Copy</span></button> */
  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const box = document.createElement("textarea");
      box.value = text;
      document.body.append(box);
      box.select();
      document.execCommand("copy"); // the only way left on a plain http address in the office
      box.remove();
      button.focus();
    }
    const words = button.querySelector("[data-copied]");
    if (words && !words.dataset.before) {
      words.dataset.before = words.textContent;
      words.textContent = words.dataset.copied;
      setTimeout(() => { words.textContent = words.dataset.before; delete words.dataset.before; }, 2500);
    }
    say("Copied");
  }

  /* A field outside a form that goes along with it once somebody has written in it:
     <input form="one" data-along="another">. */
  on("submit", (event) => {
    for (const field of document.querySelectorAll(`[data-along="${event.target.id}"]`)) {
      if (!event.target.id || field.value === field.defaultValue) continue;
      const along = Object.assign(document.createElement("input"), { type: "hidden", name: field.name, value: field.value });
      event.target.append(along);
    }
  });

  /* Dialogs: <a href="/the/same/as/a/page" data-dialog="id">; without script the link is followed. */
  function open(control, event) {
    const dialog = document.getElementById(control.dataset.dialog);
    if (!dialog || !dialog.showModal) return;
    event.preventDefault();
    dialog.showModal();
  }

  /* A document's lines: <tbody data-lines>, <template data-line> with __n__, buttons data-add, data-drop.
     Without script the same buttons submit the form and the server answers with the lines changed. */
  function addLine(button, event) {
    const editor = button.closest("[data-editor]");
    const body = editor?.querySelector("[data-lines]");
    const pattern = editor?.querySelector("template[data-line]");
    if (!body || !pattern) return;
    event.preventDefault();
    const next = Number(body.dataset.next || body.rows.length);
    body.dataset.next = next + 1;
    body.insertAdjacentHTML("beforeend", pattern.innerHTML.replaceAll("__n__", next));
    body.lastElementChild.querySelector("input, textarea")?.focus();
    changed(body);
  }
  function dropLine(button, event) {
    const row = button.closest("tr");
    const body = row?.closest("[data-lines]");
    if (!body) return;
    event.preventDefault();
    if (body.rows.length === 1) {
      row.querySelectorAll("input, textarea").forEach((one) => { one.value = one.dataset.empty || ""; });
      row.querySelector("input, textarea")?.focus();
    } else {
      const near = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      near.querySelector("[data-drop]")?.focus();
      say("Line removed");
    }
    changed(body);
  }
  const changed = (element) => element.dispatchEvent(new Event("input", { bubbles: true }));

  /* Placeholders: <button data-insert="text"> puts it where the cursor was in the same form. */
  let written;
  on("focusin", (event) => { if (event.target.matches("textarea, input[type=text]")) written = event.target; });
  function insert(button) {
    const form = button.closest("form");
    const field = written?.form === form ? written : form?.querySelector("textarea");
    if (!field) return;
    field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    changed(field);
  }

  on("click", (event) => {
    const control = event.target.closest("[data-copy], [data-dialog], [data-add], [data-drop], [data-insert]");
    if (!control) return;
    if ("copy" in control.dataset) copy(control);
    else if ("dialog" in control.dataset) open(control, event);
    else if ("add" in control.dataset) addLine(control, event);
    else if ("drop" in control.dataset) dropLine(control, event);
    else if ("insert" in control.dataset) insert(control);
  });

  /* One press, one deed: a second tap while the first is on its way does nothing. */
  on("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method === "dialog" || form.method === "get") return;
    if (event.submitter?.formTarget) return; // it fills a frame; nothing is done yet
    if (form.dataset.busy) return event.preventDefault();
    if (!navigator.onLine) {
      event.preventDefault();
      return say("No connection. Nothing was sent; try again when it is back.");
    }
    form.dataset.busy = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
    if ("forget" in form.dataset) forget();
    else mark(form);
  });
  const free = (form) => {
    delete form.dataset.busy;
    form.querySelectorAll("[aria-busy]").forEach((one) => one.removeAttribute("aria-busy"));
  };
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-busy]").forEach(free));
  /* Only the form whose own request has ended: a region that refreshes itself beside it frees nothing. */
  on("htmx:finally:request", (event) => { if (event.target.matches?.("form[data-busy]")) free(event.target); });

  /* Enter in a search inside a form looks, and does not save. */
  on("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches?.("[data-finds]")) return;
    event.preventDefault();
    event.target.closest("[data-chooser]").querySelector("[name=find]").click();
  });

  /* What was chosen out of very many takes the place of the list: the focus stays with it, and it is kept. */
  let chooser;
  on("focusin", (event) => { chooser = event.target.closest("[data-chooser]")?.id; });
  on("htmx:after:swap", (event) => {
    if (chooser && document.activeElement === document.body) {
      document.getElementById(chooser)?.querySelector("button, input:not([type=hidden])")?.focus();
    }
    const part = document.querySelector("form[data-keep] [data-refill]");
    if (part && event.detail?.ctx?.target?.closest?.("[data-refill]")) changed(part);
  });

  /* Regions that refresh themselves rest while nobody looks. */
  on("htmx:before:request", (event) => {
    const asks = event.target.getAttribute?.("hx-trigger") || "";
    if (document.hidden && asks.includes("every")) event.preventDefault();
  });
  on("htmx:error", (event) => {
    if (!event.detail?.ctx) return;
    const polls = event.target.getAttribute?.("hx-trigger")?.includes("every");
    say(polls ? "No connection. This page catches up when it is back." : "No answer. Try again in a moment.");
  });

  /* What was typed survives a dead battery: <form data-keep="invoice/new">. With data-typed the page shows
     what was typed a moment ago, so there is nothing to bring back. */
  const store = (() => { try { return window.localStorage; } catch { return null; } })();
  const typed = (form) => JSON.stringify([...new FormData(form)].filter(([name, value]) =>
    name !== "csrf_token" && typeof value === "string"));
  const secret = (form) => form.querySelector("[type=password]");
  const read = (key) => { try { return JSON.parse(store.getItem(key)); } catch { return null; } };
  function keep(form) {
    if (store && !secret(form)) {
      try { store.setItem(KEPT + form.dataset.keep, JSON.stringify({ at: Date.now(), form: typed(form) })); } catch { /* full */ }
    }
  }
  const here = () => location.href.split("#")[0];
  function mark(form) {
    const kept = store && form.dataset.keep && read(KEPT + form.dataset.keep);
    if (kept) store.setItem(KEPT + form.dataset.keep, JSON.stringify({ ...kept, sent: here() }));
  }
  function forget() {
    if (store) Object.keys(store).filter((key) => key.startsWith(KEPT)).forEach((key) => store.removeItem(key));
  }
  /* What was chosen out of very many is no longer on the page: it is put back by its number, and the
     server shows it. <section data-refill="names of such fields" hx-trigger="refill" …> */
  function rechoose(form, part, name, value) {
    const fields = [...form.elements].filter((one) => one.name === name);
    if (fields.some((one) => "given" in one.dataset)) return;
    fields.forEach((one) => one.remove());
    const chosen = document.createElement("input");
    Object.assign(chosen, { type: "hidden", name, value });
    part.append(chosen);
  }
  function restore(form, kept) {
    const part = form.querySelector("[data-refill]");
    for (const [name, value] of JSON.parse(kept.form)) {
      if (part?.dataset.refill.split(" ").includes(name)) {
        rechoose(form, part, name, value);
        continue;
      }
      const field = form.elements[name];
      if (!field) {
        const add = form.querySelector("[data-add]");
        if (add && /-\d+-/.test(name)) add.click();
      }
      const fields = form.elements[name];
      if (!fields) continue;
      const boxes = fields.length !== undefined && !fields.options ? [...fields] : [fields];
      if (boxes.some((one) => "given" in one.dataset)) continue; // chosen after that was written
      boxes.forEach((one) => {
        if (one.type === "checkbox" || one.type === "radio") one.checked = one.checked || one.value === value;
        else if (one.type !== "hidden" && one.type !== "file") one.value = value;
        // So that the answer of the server, if it says otherwise, is seen to be another.
        if (one.type === "textarea" && part?.contains(one)) one.defaultValue = value;
      });
    }
    form.querySelectorAll("[data-lines]").forEach(changed);
    part?.dispatchEvent(new Event("refill"));
    say("What you typed is back");
  }
  function offer() {
    if (!store) return;
    const forms = [...document.querySelectorAll("form[data-keep]")];
    // Only the page that a press led to shows that it worked: not an error, nor signing in again.
    const worked = (kept) => kept.sent === document.referrer && !document.querySelector(".oops, [type=password]");
    for (const key of Object.keys(store).filter((one) => one.startsWith(KEPT))) {
      const kept = read(key);
      const form = forms.find((one) => KEPT + one.dataset.keep === key);
      if (!kept || Date.now() - kept.at > A_WEEK || (!form && worked(kept))) { store.removeItem(key); continue; }
      if (!form || "typed" in form.dataset || form.querySelector(".problems") || document.querySelector(".problems")) continue;
      if (kept.form === typed(form)) { store.removeItem(key); continue; }
      // Back from writing down a new customer: that was no interruption, so nothing is asked.
      if (form.querySelector("[data-given]") && Date.now() - kept.at < AN_HOUR) { restore(form, kept); continue; }
      const row = document.createElement("div");
      row.className = "notice fresh";
      row.innerHTML = '<span></span><div><p></p><div class="row"><button class="btn" type="button">Bring it back</button><button class="btn quiet" type="button">Throw it away</button></div></div>';
      row.querySelector("p").textContent = `You began to write here at ${new Date(kept.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })} and it was not saved.`;
      const [back, away] = row.querySelectorAll("button");
      back.addEventListener("click", () => { restore(form, kept); row.remove(); });
      away.addEventListener("click", () => { store.removeItem(key); row.remove(); });
      form.prepend(row);
    }
  }
  on("input", (event) => {
    const form = event.target.closest?.("form[data-keep]");
    if (!form) return;
    clearTimeout(form.keeping);
    form.keeping = setTimeout(() => { form.keeping = 0; keep(form); }, 500);
  });
  window.addEventListener("pagehide", () => document.querySelectorAll("form[data-keep]").forEach((form) => {
    if (form.keeping && !form.dataset.busy) keep(form); // a link pressed right after the last letter
  }));

  /* A preview follows what is typed: <button data-preview="field" formtarget="frame">. A new frame is
     filled out of sight and then put in the place of the old one, so that nothing flickers and the
     Back button still leads back. */
  function preview(button) {
    const old = document.getElementsByName(button.formTarget)[0];
    if (!old) return;
    const fresh = old.cloneNode();
    fresh.removeAttribute("src");
    fresh.hidden = true;
    fresh.name = button.formTarget = `preview-${++preview.count}`;
    old.after(fresh);
    fresh.addEventListener("load", () => { old.remove(); fresh.hidden = false; }, { once: true });
    button.form.requestSubmit(button);
  }
  preview.count = 0;
  on("input", (event) => {
    const form = event.target.form;
    const button = form && document.querySelector(`[data-preview="${event.target.name}"][form="${form.id}"]`);
    if (!button) return;
    clearTimeout(button.waiting);
    button.waiting = setTimeout(preview, 700, button);
  });

  /* Ticking all rows of a page: <input type="checkbox" data-tick-all="name of theirs">. */
  on("change", (event) => {
    const name = event.target.dataset?.tickAll;
    if (!name) return;
    const rows = event.target.closest("table").querySelectorAll(`tbody input[name="${name}"]`);
    rows.forEach((one) => { one.checked = event.target.checked; });
  });

  /* A shared tablet that nobody touches shows nobody's papers: <body data-idle="300"> asks who it is. */
  function rest() {
    clearTimeout(rest.timer);
    rest.timer = setTimeout(() => {
      location.replace(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
    }, (Number(document.body.dataset.idle) + 2) * 1000);
  }
  if (document.body?.dataset.idle) ["pointerdown", "keydown", "scroll", "pageshow"].forEach((name) => window.addEventListener(name, rest, true));

  /* The summary of what is wrong is read first. */
  const attended = new WeakSet();
  function attend() {
    const summary = document.querySelector("[data-focus]");
    if (!summary || attended.has(summary)) return; // a region that polls must not pull the focus back
    attended.add(summary);
    summary.focus();
  }
  on("htmx:after:swap", attend);
  const reveal = () => document.querySelectorAll(".tabs [aria-current]").forEach((tab) => {
    tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 32;
  });
  const begin = () => {
    offer();
    attend();
    reveal();
    document.querySelectorAll("[data-preview-now]").forEach(preview);
  };
  if (document.readyState === "loading") on("DOMContentLoaded", begin);
  else setTimeout(begin); // as htmx does, so that it begins first and hears what is brought back
})();
