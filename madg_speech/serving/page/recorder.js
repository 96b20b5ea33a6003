// Record from the microphone into a file of the browser's own format.

import { clock } from "./transcript.js";

export function recorder(done) {
  const button = document.getElementById("record");
  const text = document.getElementById("record-text");
  const note = document.getElementById("record-note");
  let recording = null;

  if (!navigator.mediaDevices || !window.MediaRecorder) {
    button.disabled = true;
    note.textContent = "Recording needs https, or this page opened at 127.0.0.1.";
    return;
  }

  async function start() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      note.textContent = error.name === "NotFoundError"
        ? "No microphone was found."
        : "The browser was not allowed to use the microphone.";
      return;
    }
    const pieces = [];
    const began = Date.now();
    const show = () => { note.textContent = clock((Date.now() - began) / 1000); };
    const timer = setInterval(show, 500);
    recording = new MediaRecorder(stream);
    recording.ondataavailable = (event) => pieces.push(event.data);
    recording.onstop = () => {
      clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
      const type = recording.mimeType.split(";")[0];
      const suffix = type.split("/")[1] || "webm";
      const stamp = new Date(began).toTimeString().slice(0, 8).replaceAll(":", "-");
      recording = null;
      button.classList.remove("recording");
      text.textContent = "Record";
      note.textContent = "";
      done(new File(pieces, `recording-${stamp}.${suffix}`, { type }));
    };
    recording.start(1000);
    button.classList.add("recording");
    text.textContent = "Stop";
    show();
  }

  button.addEventListener("click", () => (recording ? recording.stop() : start()));
}
