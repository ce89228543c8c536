// Show the most probable next tokens as bars.

const SHOWN = 10; // next tokens
const NAMES = { " ": "space", "\n": "line", "\t": "tab" };
const UNPRINTABLE = /^[\p{C}\p{Z}\p{M}]$/u;

/** Return rows for the next tokens; a click calls `choose` with the token. The tab key stops at one, arrow keys go to the others. */
function makeRows(count, choose) {
  $("next").addEventListener("keydown", (event) => {
    const forward = ["ArrowDown", "ArrowRight"].includes(event.key);
    if (!forward && !["ArrowUp", "ArrowLeft"].includes(event.key)) return;
    const row = event.target.closest("li");
    const other = forward ? row.nextElementSibling : row.previousElementSibling;
    if (other && !other.hidden) other.firstChild.focus();
    event.preventDefault();
  });
  return Array.from({ length: count }, (_, place) => {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = place ? -1 : 0;
    const [sort, track, fill, share] = ["kbd", "span", "span", "span"].map((name) => document.createElement(name));
    [track.className, fill.className, share.className] = ["track", "fill", "share"];
    track.append(fill);
    button.append(sort, track, share);
    row.append(button);
    row.hidden = true;
    $("next").append(row);
    const parts = { row, button, sort, fill, share, token: 0 };
    button.addEventListener("click", () => choose(parts.token));
    return parts;
  });
}

/** Return for each candidate, the most probable first, whether top-k and top-p leave it in. */
function areKept(candidates, { top_k: k, top_p: p }) {
  const inK = (place) => !k || place < k;
  const all = k && k <= candidates.length ? candidates.slice(0, k).reduce((sum, one) => sum + one.probability, 0) : 1;
  let before = 0;
  return candidates.map(({ probability }, place) => {
    const kept = inK(place) && (!place || before < p * all);
    before += probability;
    return kept;
  });
}

/** Show candidates: bars are scaled to the first, and those that are never drawn are grey. drawn: the one in the text, if any. */
function showRows(rows, candidates, { settings, disabled, drawn }) {
  const kept = areKept(candidates, settings);
  rows.forEach((parts, place) => {
    parts.row.hidden = place >= candidates.length;
    if (parts.row.hidden) return;
    const { token, text, probability } = candidates[place];
    parts.token = token;
    const name = text === null ? "end" : nameOf(text);
    parts.sort.textContent = name;
    parts.sort.className = name === text ? "" : "named";
    parts.fill.style.transform = `scaleX(${probability / candidates[0].probability})`;
    parts.share.textContent = probability < 0.001 ? "<0.1%" : `${(100 * probability).toFixed(1)}%`;
    parts.button.disabled = disabled;
    parts.row.classList.toggle("cut", !kept[place]);
    parts.row.classList.toggle("drawn", token === drawn);
    const notes = [kept[place] ? "" : ", cut off", token === drawn ? ", in the text" : ""].join("");
    parts.button.setAttribute("aria-label", `${name}, ${parts.share.textContent}${notes}`);
  });
}

/** Return a token's text, or its name if it is invisible. */
function nameOf(text) {
  if (NAMES[text]) return NAMES[text];
  const byte = described.vocabulary.kind === "byte" && text >= "\x80";
  if (!byte && !UNPRINTABLE.test(text)) return text.replace(/[\p{C}\n]/gu, "\u00b7").replace(/^ /, "\u2423");
  const code = text.codePointAt(0).toString(16).toUpperCase();
  return byte ? `byte ${code}` : `U+${code.padStart(4, "0")}`;
}
