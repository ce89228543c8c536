const data = JSON.parse(document.getElementById("data").textContent);

// The figures of the epoch under the pointer.
function figure(chart, value) {
  if (chart.percent) return `${(100 * value).toFixed(1)}%`;
  const shown = Number(value.toPrecision(4));
  return chart.second ? `${shown} (${Number((value * chart.second[1]).toPrecision(4))} ${chart.second[0]})` : String(shown);
}

function readout(chart, epoch) {
  const figures = [];
  for (const curve of chart.curves) {
    const point = curve.points.find((one) => one[0] === epoch);
    if (point) figures.push(`${curve.label} ${figure(chart, point[1])}`);
  }
  return `epoch ${epoch.toLocaleString("en")}: ${figures.join(", ")}`;
}

[...document.querySelectorAll(".chart")].forEach((element, number) => {
  const chart = data.charts[number];
  const plot = element.querySelector(".plot");
  const hit = element.querySelector(".hit");
  const cross = element.querySelector(".cross");
  const line = element.querySelector(".readout");
  const epochs = [...new Set(chart.curves.flatMap((curve) => curve.points.map((one) => one[0])))].sort((a, b) => a - b);
  let place = -1;

  function go(next) {
    place = next;
    const share = `${(100 * (epochs[place] - chart.low)) / (chart.high - chart.low)}%`;
    cross.setAttribute("x1", share);
    cross.setAttribute("x2", share);
    cross.classList.add("on");
    line.textContent = readout(chart, epochs[place]);
  }

  function leave() {
    place = -1;
    cross.classList.remove("on");
    line.textContent = "";
  }

  function pointed(event) {
    const box = hit.getBoundingClientRect();
    const epoch = chart.low + ((event.clientX - box.left) / box.width) * (chart.high - chart.low);
    let nearest = 0;
    epochs.forEach((one, index) => {
      if (Math.abs(one - epoch) < Math.abs(epochs[nearest] - epoch)) nearest = index;
    });
    if (nearest !== place) go(nearest);
  }
  hit.addEventListener("pointermove", pointed);
  hit.addEventListener("pointerdown", pointed);
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    const last = epochs.length - 1;
    const moves = { ArrowRight: Math.min(place + 1, last), ArrowLeft: Math.max(place - 1, 0), Home: 0, End: last };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(moves[event.key]);
  });
});

// Show one fold of sample texts at a time, selected by a slider.
const stepper = document.querySelector(".stepper");
if (stepper) {
  const folds = [...document.querySelectorAll(".folds details")];
  const slider = stepper.querySelector("input");
  const [back, on] = stepper.querySelectorAll("button");
  const shown = stepper.querySelector("output");

  const show = () => {
    const place = Number(slider.value);
    folds.forEach((fold, number) => fold.classList.toggle("on", number === place));
    shown.textContent = `after epoch ${Number(folds[place].dataset.epoch).toLocaleString("en")}`;
    slider.setAttribute("aria-valuetext", shown.textContent);
  };
  const step = (by) => {
    slider.value = String(Number(slider.value) + by);
    show();
  };
  folds.forEach((fold) => (fold.open = true));
  document.querySelector(".folds").classList.add("stepping");
  stepper.hidden = false;
  slider.addEventListener("input", show);
  back.addEventListener("click", () => step(-1));
  on.addEventListener("click", () => step(1));
  show();
}

// Save charts as SVG files, with the styles that they have in the page.
const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "text-anchor", "font-size", "font-family", "vector-effect", "visibility", "overflow", "transform"];
const [LEFT, TOP, RIGHT, BOTTOM] = [64, 20, 56, 52]; // room for the labels

function standalone(plot) {
  const copy = plot.cloneNode(true);
  const copies = copy.querySelectorAll("*");
  plot.querySelectorAll("*").forEach((one, place) => {
    const style = getComputedStyle(one);
    for (const name of DRAWN) {
      const value = style.getPropertyValue(name);
      if (name !== "transform" || value !== "none") copies[place].setAttribute(name, value);
    }
  });
  copy.querySelectorAll(".cross, .hit").forEach((one) => one.remove());
  const { width, height } = plot.getBoundingClientRect();
  copy.removeAttribute("class");
  const sizes = { width, height, x: LEFT, y: TOP, overflow: "visible" };
  for (const [name, value] of Object.entries(sizes)) copy.setAttribute(name, value);
  const whole = document.createElementNS(copy.namespaceURI, "svg");
  whole.setAttribute("width", width + LEFT + RIGHT);
  whole.setAttribute("height", height + TOP + BOTTOM);
  const ground = document.createElementNS(copy.namespaceURI, "rect");
  for (const name of ["width", "height"]) ground.setAttribute(name, "100%");
  ground.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  whole.append(ground, copy);
  return new XMLSerializer().serializeToString(whole);
}

for (const chart of document.querySelectorAll(".chart")) {
  const save = document.createElement("button");
  const title = chart.querySelector("b").textContent;
  save.type = "button";
  save.className = "save";
  save.textContent = "Save picture";
  save.setAttribute("aria-label", `Save picture: ${title}`);
  save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([standalone(chart.querySelector(".plot"))], { type: "image/svg+xml" }));
    link.download = `${title}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  chart.append(save);
}

// Sort a table by the column that is clicked, then the other way round.
const inOrder = (one, other) => (Number.isNaN(one.key - other.key) ? String(one.text).localeCompare(other.text) : one.key - other.key);

function sort(table, column) {
  const heads = [...table.querySelectorAll("thead th")];
  const up = heads[column].getAttribute("aria-sort") !== "ascending";
  heads.forEach((head, place) => head.setAttribute("aria-sort", place === column ? (up ? "ascending" : "descending") : "none"));
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => {
    const text = row.cells[column].textContent;
    return { row, text, key: Number(text.replaceAll(",", "") || NaN) };
  });
  rows.sort((one, other) => (up ? inOrder(one, other) : inOrder(other, one)));
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, column));
    head.replaceChildren(button);
  });
}
