// Search as you type over all languages (WAI-ARIA combobox with a list), and what to expect of one.

import { ask } from "./ask.js";

const at = (id) => document.getElementById(id);
const AUTO = { code: "auto", name: "Detect", family: "of the about 99 languages that Whisper supports" };
const STANDING = {
  trained: "trained on",
  clade: "close relatives trained on",
  family: "its family trained on",
  unrelated: "no relative trained on",
};

function element(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...properties });
}

export function languagePicker(done) {
  const input = at("language");
  const list = at("languages");
  let options = [];
  let active = -1;
  let chosen = null;
  let asked = 0;

  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    active = index;
    [...list.querySelectorAll("[role=option]")].forEach((row, place) => {
      row.setAttribute("aria-selected", String(place === index));
      if (place === index) row.scrollIntoView({ block: "nearest" });
    });
    if (index >= 0) input.setAttribute("aria-activedescendant", `option-${index}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function draw(found, more) {
    list.replaceChildren(...found.map((language, index) => {
      const row = element("li", "", { id: `option-${index}`, role: "option" });
      row.setAttribute("aria-selected", "false");
      const code = language.trained ? `${language.code} · trained` : language.code;
      row.append(element("span", language.name), element("small", code, { className: "code" }));
      if (language.family) row.append(element("small", language.family));
      row.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus
      row.addEventListener("click", () => pick(language));
      return row;
    }));
    if (more) {
      const row = element("li", `${more} more: type on`, { className: "hint more", role: "presentation" });
      list.append(row);
    }
    options = found;
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(found.length && input.value.trim() ? 0 : -1);
  }

  async function search() {
    const mine = ++asked;
    const typed = input.value.trim();
    try {
      const found = await ask(`api/languages?q=${encodeURIComponent(typed)}`);
      if (mine !== asked) return; // something else has been typed since
      at("language-note").textContent = found.languages.length ? "" : found.hint.split(" (expected")[0];
      const detect = !typed || "detect auto".includes(typed.toLowerCase());
      draw(detect ? [AUTO, ...found.languages] : found.languages, found.more);
    } catch (error) {
      at("language-note").textContent = error.message;
    }
  }

  async function pick(language) {
    asked += 1; // answers still under way are void
    chosen = language;
    input.value = language.name;
    at("language-note").textContent = "";
    close();
    done(language.code);
    if (language === AUTO) {
      at("expect").hidden = true;
      at("language-help").hidden = true;
      at("language-note").textContent =
        "Whisper, without adapters, names the language, of the about 99 it supports.";
      return;
    }
    try {
      const facts = await ask(`api/languages/${encodeURIComponent(language.code)}`);
      if (chosen === language) showExpectation(facts);
    } catch (error) {
      at("language-note").textContent = error.message;
    }
  }

  input.addEventListener("input", () => {
    chosen = null;
    done(null);
    at("expect").hidden = true;
    at("language-help").hidden = false;
    search();
  });
  input.addEventListener("focus", () => {
    input.select();
    if (!chosen) search();
  });
  input.addEventListener("click", () => { if (list.hidden && !chosen) search(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (list.hidden) search();
      else mark((active + step + options.length) % options.length);
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      if (active >= 0) pick(options[active]);
    } else if (event.key === "Escape") {
      close();
    }
  });
}

function showExpectation(facts) {
  const badge = at("badge");
  badge.textContent = STANDING[facts.group];
  badge.className = `badge ${facts.group}`;
  at("lineage").textContent = facts.lineage.slice(0, 4).join(" › ") || "no known relatives";
  const share = Math.round(facts.observed * 100);
  at("meter").setAttribute("aria-valuenow", share);
  at("meter").firstElementChild.style.width = `${share}%`;
  at("observed").textContent = share
    ? `${share} %, the rest guessed from relatives and neighbours`
    : "Nothing: all guessed from relatives and neighbours";
  at("nearest").replaceChildren(...facts.nearest.map((relative) => {
    const row = element("li", relative.name);
    row.append(element("span", relative.distance.toFixed(2)));
    return row;
  }));
  at("advice").textContent = facts.advice;
  at("language-help").hidden = true;
  at("expect").hidden = false;
}
