// Show a page in the theme of the system, or in the one that was chosen before; a button in its header chooses the other one.

"use strict";

/** Return what the browser remembers under a name, or null; a browser may remember nothing. */
function remembered(name) {
  try {
    return localStorage.getItem(`chargen-${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`chargen-${name}`, value);
  } catch {
    // it is forgotten when the page is closed
  }
}

const theme = {
  system: matchMedia("(prefers-color-scheme: dark)"),
  changed: new EventTarget(), // gets "change" when the colours of the page change

  get isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : this.system.matches;
  },

  show(name) {
    if (name) document.documentElement.dataset.theme = name;
    document.getElementById("theme")?.setAttribute("aria-pressed", String(this.isDark));
    this.changed.dispatchEvent(new Event("change"));
  },

  toggle() {
    const name = this.isDark ? "light" : "dark";
    remember("theme", name);
    this.show(name);
  },

  addButton() {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", id: "theme", className: "quiet", textContent: "Dark" });
    button.addEventListener("click", () => this.toggle());
    document.querySelector("header").append(button);
  },
};

/** Return a colour of the page by its name, as a canvas takes it. */
function colourOf(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

theme.show(remembered("theme")); // before anything is drawn
theme.system.addEventListener("change", () => theme.show(null));
addEventListener("storage", ({ key, newValue }) => {
  if (key === "chargen-theme") theme.show(newValue);
});
document.addEventListener("DOMContentLoaded", () => {
  theme.addButton();
  theme.show(null);
});
