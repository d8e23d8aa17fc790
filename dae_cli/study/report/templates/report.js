"use strict";
// Sliders of filters with their play buttons, and the dark or light theme. The rest is CSS.

const root = document.documentElement;

function setTheme(name) {
  root.dataset.theme = name;
  try { localStorage.setItem("dae-theme", name); } catch { /* a page opened from a file may not be allowed to store it */ }
}

try {
  const stored = localStorage.getItem("dae-theme");
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
} catch { /* as above */ }

document.getElementById("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  setTheme((root.dataset.theme || system) === "dark" ? "light" : "dark");
});

for (const figure of document.querySelectorAll("[data-filters]")) {
  const slider = figure.querySelector("input[type=range]");
  if (!slider) continue;
  const play = figure.querySelector(".play");
  const sheets = [...figure.querySelectorAll(".sheet")];
  const readouts = [...figure.querySelectorAll(".readout")];
  const ticks = [...figure.querySelectorAll(".ticks span")];
  let timer = 0;

  const show = () => {
    const k = Number(slider.value);
    sheets.forEach((sheet, i) => sheet.classList.toggle("on", i === k));
    readouts.forEach((text, i) => text.classList.toggle("on", i === k));
    slider.setAttribute("aria-valuetext", ticks[k].textContent);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  slider.addEventListener("input", () => { stop(); show(); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % sheets.length;
      show();
    }, 900);
  });
  show(); // the browser may have restored the slider's position
}
