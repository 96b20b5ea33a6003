// The transcript: segments of words that play from where they are clicked, and its files.

const at = (id) => document.getElementById(id);
const UNSURE = 0.75; // probability of a word's letters below which it is marked
let following = null;

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

export function showTranscript(answer, fileName, player, seconds) {
  const words = [];
  const play = (time) => {
    player.currentTime = Math.max(time - 0.1, 0); // CTC marks letters late
    player.play();
  };
  at("segments").replaceChildren(...answer.segments.filter((segment) => segment.words.length).map((segment) => {
    const row = document.createElement("div");
    row.className = "segment";
    const time = Object.assign(document.createElement("button"), {
      type: "button", className: "time", textContent: clock(segment.start),
      ariaLabel: `Play from ${clock(segment.start)}`,
    });
    time.addEventListener("click", () => play(segment.start));
    const text = document.createElement("p");
    text.lang = answer.language;
    text.dir = "auto";
    for (const word of segment.words) {
      const span = Object.assign(document.createElement("span"), {
        className: word.probability < UNSURE ? "word unsure" : "word",
        textContent: word.word, tabIndex: -1,
        title: `${clock(word.start)} · ${Math.round(word.probability * 100)} % sure`,
      });
      span.setAttribute("role", "button");
      words.push({ span, start: word.start, end: word.end });
      text.append(span, " ");
    }
    row.append(time, text);
    return row;
  }));

  const spans = words.map((word) => word.span);
  const enter = (index) => { // one tab stop for all words, arrow keys within
    spans.forEach((span) => { span.tabIndex = -1; });
    spans[index].tabIndex = 0;
    spans[index].focus();
  };
  if (spans.length) spans[0].tabIndex = 0;
  at("segments").onclick = (event) => {
    const index = spans.indexOf(event.target);
    if (index < 0) return;
    enter(index);
    play(words[index].start);
  };
  at("segments").onkeydown = (event) => {
    const index = spans.indexOf(event.target);
    if (index < 0) return;
    const goal = {
      ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1,
      Home: 0, End: spans.length - 1,
    }[event.key];
    if (goal !== undefined && spans[goal]) enter(goal);
    else if (event.key === "Enter" || event.key === " ") play(words[index].start);
    else return;
    event.preventDefault();
  };

  follow(player, words);
  offerFiles(answer, fileName);
  const length = answer.seconds < 60 ? `${answer.seconds.toFixed(1)} s` : `${clock(answer.seconds)} min`;
  at("summary").textContent =
    `${answer.language_name} (${answer.language}) · ${length} of audio, ${words.length} words, ` +
    `in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  at("result").hidden = false;
  at("result-title").focus({ preventScroll: true });
  at("result").scrollIntoView({ block: "nearest" });
}

function follow(player, words) {
  let shown = null;
  const step = () => {
    const time = player.currentTime;
    const word = player.paused
      ? null
      : words.findLast((word) => word.start - 0.1 <= time && time < word.end + 0.5) ?? null;
    if (word !== shown) {
      shown?.span.classList.remove("now");
      word?.span.classList.add("now");
      shown = word;
    }
    if (!player.paused) requestAnimationFrame(step);
  };
  following?.abort(); // that of the transcript before
  following = new AbortController();
  for (const name of ["play", "pause", "seeked", "ended"]) {
    player.addEventListener(name, step, { signal: following.signal });
  }
}

function offerFiles(answer, fileName) {
  const stem = fileName.replace(/\.[^.]*$/, "") || "transcript";
  at("downloads").replaceChildren(...Object.entries(answer.files).map(([kind, text]) => {
    const button = Object.assign(document.createElement("button"), {
      type: "button", className: "quiet", textContent: kind, ariaLabel: `Download as ${kind}`,
    });
    button.addEventListener("click", () => {
      const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
      Object.assign(document.createElement("a"), { href: url, download: `${stem}.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    return button;
  }));
  const copy = at("copy");
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(answer.text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not allowed";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  };
}
