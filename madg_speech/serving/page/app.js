// The page of `madg-speech serve`: choose audio and a language, transcribe, listen, download.

import { ask } from "./ask.js";
import { languagePicker } from "./language.js";
import { recorder } from "./recorder.js";
import { showTranscript } from "./transcript.js";

const at = (id) => document.getElementById(id);
const state = { audio: null, language: null, about: null, working: null };

function complain(message) {
  at("error").textContent = message;
  at("error").hidden = !message;
}

function refresh() {
  const ready = state.audio && state.language;
  at("go").disabled = !ready && !state.working;
  at("go").textContent = state.working ? "Cancel" : "Transcribe";
  if (state.working) return;
  const lacking = [!state.audio && "a recording", !state.language && "a language"].filter(Boolean);
  at("status").textContent = lacking.length ? `Choose ${lacking.join(" and ")} first.` : "";
}

function choose(file) {
  if (!file) return;
  const limit = state.about?.megabytes;
  if (limit && file.size > limit * 1e6) {
    complain(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; this server takes up to ${limit} MB.`);
    return;
  }
  complain("");
  state.audio = file;
  at("chosen-name").textContent = file.name;
  at("chosen-size").textContent =
    file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
  at("chosen").hidden = false;
  const player = at("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  at("result").hidden = true; // it was of another recording
  refresh();
}

async function transcribe() {
  complain("");
  at("result").hidden = true;
  const form = new FormData();
  form.append("language", state.language);
  form.append("file", state.audio, state.audio.name);
  const started = performance.now();
  const tick = () => {
    at("status").textContent = `Transcribing … ${Math.round((performance.now() - started) / 1000)} s`;
  };
  const clock = setInterval(tick, 1000);
  state.working = new AbortController();
  at("busy").hidden = false;
  tick();
  refresh();
  try {
    const answer = await ask("api/transcriptions", {
      method: "POST", body: form, signal: state.working.signal,
    });
    const seconds = (performance.now() - started) / 1000;
    showTranscript(answer, state.audio.name, at("player"), seconds);
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
  clearInterval(clock);
  state.working = null;
  at("busy").hidden = true;
  refresh();
}

at("file").addEventListener("change", (event) => choose(event.target.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") choose(event.dataTransfer.files[0]);
  });
}
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (state.working) state.working.abort();
  else if (state.audio && state.language) transcribe();
});
recorder(choose);
languagePicker((language) => {
  state.language = language;
  refresh();
});
refresh();

ask("api/about").then((about) => {
  state.about = about;
  const count = about.languages.toLocaleString("en");
  at("about").textContent =
    `Speech to text in ${count} languages, ${about.trained} of them trained on. ` +
    "The text is romanised: Latin letters, whatever the script.";
  at("limits").textContent =
    `Audio or video, up to ${about.minutes} minutes and ${about.megabytes} MB`;
}).catch((error) => complain(error.message));
