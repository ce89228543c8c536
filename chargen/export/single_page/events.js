// Connect the page to its keys, buttons and fields, and begin.

const CLICKS = {
  write: toggle,
  over: readPrompt,
  earlier: () => goTo(earlier, later),
  later: () => goTo(later, earlier),
  copy: () => copy(wholeText(), "The text is copied."),
  "copy-kept": () => copy([...kept].join("\n"), "The kept lines are copied."),
  link: () => copy(address(manuscript.seed), "The link is copied: it holds the prompt, the seed and the settings."),
  save: () => download(new Blob([wholeText()], { type: "text/plain" }), "txt"),
  picture: () => savePicture(manuscript.pieces, $("surprise").checked),
};

const MOVES = {
  ArrowLeft: () => (cursor ?? manuscript.pieces.length) - 1,
  ArrowRight: () => (cursor === null ? null : cursor + 1),
  End: () => null,
};

/** Handle a key in the text: arrows go back and on in it. */
function keyInText(event) {
  if (!(event.key in MOVES) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  lookAt(MOVES[event.key]());
}

function keyInPage(event) {
  const control = event.ctrlKey || event.metaKey;
  const types = ["TEXTAREA", "INPUT"].includes(event.target.tagName) && event.target.type !== "range" && event.target.type !== "checkbox";
  if (event.key === "Escape") {
    if (writing || whenRead) stop();
    else lookAt(null);
  }
  if (control && event.key === "Enter") toggle();
  else if (control && event.key.toLowerCase() === "z" && !types) goTo(...(event.shiftKey ? [later, earlier] : [earlier, later]));
  else return;
  event.preventDefault();
}

introduce();
showSamples();
showKept();
openAddress();
showDials();
for (const [id, click] of Object.entries(CLICKS)) $(id).addEventListener("click", click);
for (const id of [...Object.values(FIELDS), "pace"]) $(id).addEventListener("input", showDials);
for (const id of ["label", "seed"]) $(id).addEventListener("change", readPrompt);
$("surprise").addEventListener("change", showSurprise);
$("prompt").addEventListener("input", () => {
  stop();
  clearTimeout(unread);
  unread = setTimeout(afterTyping, READ_AFTER);
});
$("text").addEventListener("click", (event) => {
  if (getSelection().isCollapsed) lookAt(paper.pieceAt(manuscript.pieces, event.clientX, event.clientY));
});
$("text").addEventListener("keydown", keyInText);
document.addEventListener("keydown", keyInPage);
addEventListener("hashchange", () => {
  openAddress();
  showDials();
  readPrompt();
});
manuscript.changed = () => show(true);
readPrompt();
