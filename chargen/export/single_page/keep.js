// Copy and save texts and pictures of them.

const PICTURE_WIDTH = 900; // pixels, drawn twice as large
const PICTURE_LINES = 250;
const MARGIN = 48;
const LETTER_HEIGHT = 20;
const LINE_HEIGHT = 34;

/** Put a text on the clipboard, and return whether it is allowed; this way works in pages without a secure address, too. */
function copyText(text) {
  const fill = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", fill, { once: true });
  const done = document.execCommand("copy");
  document.removeEventListener("copy", fill);
  return done;
}

function download(content, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${described.name || "chargen"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Return the letters of pieces with their places on a picture, and the number of its lines; what does not fit is left out. */
function arrange(pieces, measure, width) {
  const letters = [];
  let [x, line, word] = [0, 0, []];
  const endWord = () => {
    const length = word.reduce((sum, { size }) => sum + size, 0);
    if (x && x + length > width) [x, line] = [0, line + 1];
    for (const { piece, size } of word) {
      if (x + size > width) [x, line] = [0, line + 1];
      letters.push({ piece, size, x, line });
      x += size;
    }
    word = [];
  };
  for (const piece of pieces) {
    if (line >= PICTURE_LINES) break;
    if (piece.text !== "\n") word.push({ piece, size: measure(piece.text) });
    if (/^\s/.test(piece.text)) endWord();
    if (piece.text === "\n") [x, line] = [0, line + 1];
  }
  endWord();
  const shown = letters.filter((letter) => letter.line < PICTURE_LINES);
  return { letters: shown, lines: (shown.at(-1)?.line ?? 0) + 1 };
}

/** Return a picture of pieces of text on a canvas, with the colours of the page. */
function pictureOf(pieces, coloured) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const [paper, ink, faint, warm] = ["paper", "ink", "faint", "warm"].map(colourOf);
  const font = `${LETTER_HEIGHT}px ${getComputedStyle($("text")).fontFamily}`;
  pen.font = font;
  const { letters, lines } = arrange(pieces, (text) => pen.measureText(text).width, PICTURE_WIDTH - 2 * MARGIN);
  canvas.width = 2 * PICTURE_WIDTH;
  canvas.height = 2 * (lines * LINE_HEIGHT + 2 * MARGIN);
  pen.scale(2, 2);
  pen.fillStyle = paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.font = font;
  pen.textBaseline = "middle";
  for (const { piece, size, x, line } of letters) {
    const level = coloured && !Number.isNaN(piece.bits) ? levelOf(piece.bits) : 0;
    const middle = MARGIN + (line + 0.5) * LINE_HEIGHT;
    if (level) {
      const height = (level / LEVELS) * (LINE_HEIGHT - 6);
      pen.fillStyle = warm;
      pen.globalAlpha = 0.27 + 0.053 * level;
      pen.fillRect(MARGIN + x, middle + LINE_HEIGHT / 2 - 3 - height, size, height);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = piece.given && !coloured ? faint : ink;
    pen.fillText(piece.text, MARGIN + x, middle);
  }
  return canvas;
}

function savePicture(pieces, coloured) {
  pictureOf(pieces, coloured).toBlob((content) => download(content, "png"), "image/png");
}
