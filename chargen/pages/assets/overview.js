// Draw the whole text as a narrow picture: a point a letter, with the colours of the text; a frame marks what is on the screen.

const overview = {
  canvas: $("map"),

  begin() {
    // Lines of the overview before each row, if a line holds as many letters as it has columns.
    this.before = new Float64Array(reader.rows.length + 1);
    reader.characters.forEach((count, row) => {
      this.before[row + 1] = this.before[row] + Math.max(1, Math.ceil(count / COLUMNS));
    });
    this.canvas.setAttribute("aria-valuemax", String(reader.numbers.at(-1)));
    new ResizeObserver(() => this.askForDrawing()).observe(this.canvas);
    theme.changed.addEventListener("change", () => this.askForDrawing());
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.pointed(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) this.pointed(event);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  },

  get lines() {
    return this.before.at(-1);
  },

  /** Return the mean heat of each point, at most `height` lines of them; NaN where no letter is. */
  points(height) {
    const sums = new Float32Array(height * COLUMNS);
    const counts = new Uint32Array(height * COLUMNS);
    const scale = height / Math.max(this.lines, LEAST_ROWS);
    const { ids, lengths } = reader;
    reader.rows.forEach(([start, stop], row) => {
      let letter = 0;
      for (let place = start; place < stop; place++) {
        const line = this.before[row] + Math.floor(letter / COLUMNS);
        const point = Math.min(height - 1, Math.floor(line * scale)) * COLUMNS + (letter % COLUMNS);
        const heat = reader.heatAt(place);
        if (reader.isColoured(heat)) sums[point] += heat;
        counts[point]++;
        letter += lengths[ids[place]];
      }
    });
    for (let point = 0; point < sums.length; point++) sums[point] /= counts[point] || NaN;
    return sums;
  },

  /** Draw the text in the next frame. */
  askForDrawing() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.draw();
    });
  },

  draw() {
    const { canvas } = this;
    const { height } = canvas.getBoundingClientRect();
    if (!height) return;
    [canvas.width, canvas.height] = [COLUMNS, Math.round(height * devicePixelRatio)];
    const points = this.points(canvas.height);
    const most = points.reduce((best, one) => (Math.abs(one) > best ? Math.abs(one) : best), 1e-9);
    const picture = new ImageData(COLUMNS, canvas.height);
    const [warm, cool, edge] = ["warm", "cool", "edge"].map((name) => colourOf(name).match(/[\d.]+/g).map(Number));
    points.forEach((heat, point) => {
      if (Number.isNaN(heat)) return;
      const share = Math.abs(heat) / most;
      const colour = share < 0.05 ? edge : heat < 0 ? cool : warm;
      picture.data.set([...colour.slice(0, 3), share < 0.05 ? 60 : 70 + 185 * share], 4 * point);
    });
    Object.assign(this, { picture, accent: colourOf("accent") });
    this.frame();
  },

  /** Return the line of the overview at a height of the screen, in pixels from its top. */
  lineAt(height) {
    const block = reader.blockAt(height);
    const box = reader.blocks[block].getBoundingClientRect();
    const [from, to] = this.linesOf(block);
    return from + Math.max(0, Math.min(1, (height - box.top) / box.height)) * (to - from);
  },

  linesOf(block) {
    return [this.before[block * BLOCK], this.before[Math.min((block + 1) * BLOCK, reader.rows.length)]];
  },

  /** Mark what is on the screen. */
  frame() {
    if (!this.picture) return;
    const { canvas } = this;
    const pen = canvas.getContext("2d");
    const scale = canvas.height / Math.max(this.lines, LEAST_ROWS);
    const [top, bottom] = [this.lineAt(0), this.lineAt(innerHeight)];
    pen.putImageData(this.picture, 0, 0);
    pen.globalAlpha = 0.22;
    pen.fillStyle = this.accent;
    pen.fillRect(0, top * scale, COLUMNS, Math.max(3 * devicePixelRatio, (bottom - top) * scale));
    pen.globalAlpha = 1;
    const row = Math.min(above(this.before, top) - 1, reader.rows.length - 1);
    const line = reader.numbers[above(reader.starts, reader.rows[row][0]) - 1];
    canvas.setAttribute("aria-valuenow", String(line));
    canvas.setAttribute("aria-valuetext", `line ${line.toLocaleString("en")}`);
  },

  /** Show a line of the overview in the middle of the window. */
  goTo(line) {
    const row = Math.max(0, Math.min(above(this.before, line) - 1, reader.rows.length - 1));
    const within = (line - this.before[row]) / (this.before[row + 1] - this.before[row]);
    const element = reader.lines[row];
    element.scrollIntoView({ block: "start" }); // its block is laid out now
    const box = element.getBoundingClientRect();
    scrollBy(0, box.top + within * box.height - innerHeight / 2);
  },

  pointed({ clientY }) {
    const box = this.canvas.getBoundingClientRect();
    this.goTo(((clientY - box.top) / box.height) * Math.max(this.lines, LEAST_ROWS));
  },

  key(event) {
    const moves = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (!Object.hasOwn(moves, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const middle = this.lineAt(innerHeight / 2);
    const to = middle + (moves[event.key] * this.lines) / 100;
    this.goTo(Math.max(0, Math.min(to, this.lines)));
  },
};
