// Show the texts of a model of lines, such as names: in columns, those of the corpus marked, good ones kept.

const corpusHashes = described.lines ? new Set(new Uint32Array(bytesOf(described.lines).buffer)) : new Set();
const kept = new Set(JSON.parse(remembered(`kept-${described.name}`) ?? "[]"));

const encoder = new TextEncoder();

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
}

/** Return 32 bits of a text, its FNV-1a hash. */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Mark a complete line if it is in the corpus, and add a star that keeps it. */
function finishLine(line) {
  const text = line.textContent;
  if (corpusHashes.has(hashOf(text))) {
    line.classList.add("known");
    line.title = "This line is in the corpus.";
  }
  const star = document.createElement("button");
  star.type = "button";
  star.className = "star";
  star.setAttribute("aria-label", `Keep ${text}`);
  star.setAttribute("aria-pressed", String(kept.has(text)));
  star.addEventListener("click", () => keepLine(text, !kept.has(text)));
  line.append(star);
}

function keepLine(text, keeps) {
  if (keeps) kept.add(text);
  else kept.delete(text);
  remember(`kept-${described.name}`, JSON.stringify([...kept]));
  for (const star of document.querySelectorAll("#text .star")) {
    if (star.getAttribute("aria-label") === `Keep ${text}`) star.setAttribute("aria-pressed", String(keeps));
  }
  showKept();
}

function showKept() {
  $("kept").hidden = !kept.size;
  const items = [...kept].map((text) => {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "\u00d7";
    remove.setAttribute("aria-label", `Remove ${text}`);
    remove.addEventListener("click", () => {
      keepLine(text, false);
      $("copy-kept").focus();
    });
    item.append(text, remove);
    return item;
  });
  $("kept-list").replaceChildren(...items);
}
