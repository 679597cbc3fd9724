// The gallery: unpacks images and maps, lays one over the other, and follows the controls.
"use strict";

const TILE = 128; // pixels of a canvas in the list; the chosen image has 256
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const controls = ["method", "layer", "explained", "opacity", "order", "truth", "predicted", "sharp"];
const [PREDICTED, TRUE] = [0, 1]; // positions in the classes, odds and rows of an image
const tiles = []; // an element for each image
const onScreen = new Set(); // numbers of the images whose tiles are in sight
const tapsOf = new Map();
let shown = []; // numbers of the images that fit the filters, in order
let chosen = 0;
let pixels, colors;

// ---- the pictures ----

/** For each of `to` pixels the four of `from` that it is made of, and their weights.
 *
 * Smooth: cubic convolution with a = -0.75 between pixel centers, edges repeated, as OpenCV's
 * INTER_CUBIC, which utils/explain/overlay.py takes. Sharp: the nearest one.
 */
function taps(from, to, sharp) {
  const key = `${from} ${to} ${sharp}`;
  if (!tapsOf.has(key)) {
    const index = new Int32Array(4 * to), weight = new Float64Array(4 * to);
    for (let x = 0; x < to; x++) {
      const center = (x + 0.5) * from / to - 0.5;
      const first = sharp ? Math.round(center) : Math.floor(center);
      const t = center - first;
      const w = sharp ? [0, 1, 0, 0] : [outer(t + 1), inner(t), inner(1 - t), outer(2 - t)];
      for (let k = 0; k < 4; k++) {
        index[4 * x + k] = Math.min(Math.max(first + k - 1, 0), from - 1);
        weight[4 * x + k] = w[k];
      }
    }
    tapsOf.set(key, { index, weight });
  }
  return tapsOf.get(key);
}
const inner = (t) => (1.25 * t - 2.25) * t * t + 1; // weight at a distance below 1
const outer = (t) => ((-0.75 * t + 3.75) * t - 6) * t + 3; // from 1 to 2

/** Enlarges a square picture of bytes, row after row and channel by channel; clipped to 0..255. */
function enlarge(bytes, from, channels, to, sharp) {
  const { index, weight } = taps(from, to, sharp), row = to * channels;
  const wide = new Float32Array(from * row), large = new Float32Array(to * row);
  for (let x = 0; x < to; x++) { // along the rows
    const [a, b, c, d] = index.subarray(4 * x, 4 * x + 4);
    const [wa, wb, wc, wd] = weight.subarray(4 * x, 4 * x + 4);
    for (let y = 0; y < from; y++) {
      for (let k = 0; k < channels; k++) {
        const at = (column) => bytes[(y * from + column) * channels + k];
        wide[y * row + x * channels + k] = wa * at(a) + wb * at(b) + wc * at(c) + wd * at(d);
      }
    }
  }
  for (let y = 0; y < to; y++) { // along the columns
    const [a, b, c, d] = index.subarray(4 * y, 4 * y + 4).map((line) => line * row);
    const [wa, wb, wc, wd] = weight.subarray(4 * y, 4 * y + 4);
    for (let i = 0; i < row; i++) {
      const sum = wa * wide[a + i] + wb * wide[b + i] + wc * wide[c + i] + wd * wide[d + i];
      large[y * row + i] = sum < 0 ? 0 : sum > 255 ? 255 : sum;
    }
  }
  return large;
}

/** Draws an image, and over it its map if there is one; opacity follows the heat. */
function draw(canvas, number, map) {
  const side = canvas.width, sharp = byId("sharp").checked;
  const picture = enlarge(pixels[number], data.side, 3, side, sharp);
  const heat = map && enlarge(map, Math.sqrt(map.length), 1, side, sharp);
  const most = byId("opacity").value / 100;
  const result = new ImageData(side, side), target = result.data;
  for (let i = 0; i < side * side; i++) {
    const warmth = heat ? heat[i] / 255 : 0, opacity = most * warmth;
    const color = 3 * Math.min(Math.floor(256 * warmth), 255);
    for (let k = 0; k < 3; k++) {
      const below = picture[3 * i + k];
      target[4 * i + k] = below + opacity * (colors[color + k] - below); // an array that rounds
    }
    target[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(result, 0, 0);
}

/** The map of an image by the method, at the layer and for the class that are chosen. */
function mapOf(number) {
  const layer = data.layers[byId("layer").value], size = layer.side ** 2;
  const row = data.images[number].rows[byId("explained").value];
  const start = (byId("method").value * layer.rows + row) * size;
  return layer.maps.subarray(start, start + size);
}

// ---- what is said ----

const percent = (share) => (share < 0.01 ? "below 1" : Math.round(100 * share)) + "\u00a0%";
const text = (id) => byId(id).selectedOptions[0].textContent.trim();
const isWrong = ({ classes }) => classes[PREDICTED] !== classes[TRUE];

function describe(image) {
  const [predicted, truth] = image.classes.map((label) => data.classes[label]);
  const said = `${predicted} with ${percent(image.odds[PREDICTED])}`;
  const verdict = isWrong(image) ? `${truth}, taken for ${said}` : `${said}, right`;
  return `Test image ${image.position}: ${verdict}`;
}

function explanation() {
  return data.methods[byId("method").value].asks_class
    ? `${text("method")} for the ${text("explained")}`
    : `${text("method")}, which asks for no class`;
}

function say() {
  const smooth = byId("sharp").checked ? "single pixels" : "smoothed";
  byId("status").textContent = shown.length
    ? `${explanation()}; layer: ${text("layer")}; opacity ${byId("opacity").value} %, ${smooth}. ` +
      `${shown.length} of ${data.images.length} images.`
    : "No image fits both classes: choose another true or predicted class.";
}

// ---- the list ----

function makeTile(image, number) {
  const tile = document.createElement("div"), canvas = document.createElement("canvas");
  const caption = document.createElement("span");
  tile.className = isWrong(image) ? "tile wrong" : "tile";
  tile.setAttribute("role", "option");
  tile.setAttribute("aria-label", describe(image));
  const said = `${data.classes[image.classes[PREDICTED]]} ${percent(image.odds[PREDICTED])}`;
  caption.append(`${isWrong(image) ? "✗" : "✓"} ${said}`, document.createElement("br"));
  caption.append(isWrong(image) ? `truth: ${data.classes[image.classes[TRUE]]}` : "");
  tile.append(canvas, caption);
  tile.addEventListener("click", () => choose(number, true));
  tile.number = number;
  return tile;
}

function choose(number, focus) {
  for (const [one, on] of [[chosen, false], [number, true]]) {
    tiles[one].setAttribute("aria-selected", on);
    tiles[one].tabIndex = on ? 0 : -1;
  }
  chosen = number;
  const image = data.images[number];
  byId("name").textContent = describe(image);
  const ranked = image.classes.map((label, k) => [data.classes[label], image.odds[k]])
    .filter(([name], k, all) => all.findIndex(([other]) => other === name) === k)
    .sort((a, b) => b[1] - a[1]);
  byId("odds").textContent = ranked.map(([name, odds]) => `${name} ${percent(odds)}`).join(", ");
  byId("plain").setAttribute("aria-label", `The image alone. ${describe(image)}`);
  if (focus) {
    tiles[number].focus({ preventScroll: true });
    tiles[number].scrollIntoView({ block: "nearest" });
  }
  drawChosen();
}

function drawChosen() {
  const map = mapOf(chosen), empty = map.every((value) => value === 0);
  const label = data.classes[data.images[chosen].classes[byId("explained").value]];
  const asks = data.methods[byId("method").value].asks_class;
  const what = asks ? `${text("method")} for ${label}` : text("method");
  byId("what").textContent = empty ? `${what}: nothing speaks for it here` : what;
  byId("heat").setAttribute("aria-label", `Heatmap over the image: ${byId("what").textContent}`);
  draw(byId("plain"), chosen);
  draw(byId("heat"), chosen, map);
}

const SORTED = {
  sure: (a, b) => b.odds[PREDICTED] - a.odds[PREDICTED],
  unsure: (a, b) => a.odds[PREDICTED] - b.odds[PREDICTED],
  truth: (a, b) => a.classes[TRUE] - b.classes[TRUE] || SORTED.sure(a, b),
  position: (a, b) => a.position - b.position,
};

function arrange() {
  const fits = (id, label) => byId(id).value === "" || Number(byId(id).value) === label;
  const order = SORTED[byId("order").value];
  shown = [...data.images.keys()]
    .filter((k) => fits("truth", data.images[k].classes[TRUE]))
    .filter((k) => fits("predicted", data.images[k].classes[PREDICTED]))
    .sort((a, b) => order(data.images[a], data.images[b]));
  byId("images").replaceChildren(...shown.map((number) => tiles[number]));
  if (shown.length && !shown.includes(chosen)) choose(shown[0], false);
}

function drawTile(number) {
  const state = ["method", "layer", "explained", "opacity"].map((id) => byId(id).value);
  const key = `${state} ${byId("sharp").checked}`;
  const canvas = tiles[number].firstChild;
  if (canvas.dataset.drawn === key) return;
  canvas.width = canvas.height = TILE;
  draw(canvas, number, mapOf(number));
  canvas.dataset.drawn = key;
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawChosen();
    onScreen.forEach(drawTile);
  });
}

function follow(event) {
  byId("explained").disabled = !data.methods[byId("method").value].asks_class;
  byId("percent").textContent = `${byId("opacity").value} %`;
  if (["order", "truth", "predicted"].includes(event.target.id)) arrange();
  redraw();
  if (event.type === "change") say(); // not at every step of the slider
}

function walk(event) {
  const columns = getComputedStyle(byId("images")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const here = shown.indexOf(chosen), last = shown.length - 1;
  const goals = { Home: 0, End: last };
  const goal = event.key in steps ? here + steps[event.key] : goals[event.key];
  if (goal === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (goal >= 0 && goal <= last) choose(shown[goal], true);
}

// ---- the start ----

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

async function unpack(base64) {
  const stream = new Blob([bytesOf(base64)]).stream();
  const plain = stream.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/** The pixels of each image, out of the sheet on which all of them stand in rows. */
async function cutSheet() {
  const sheet = new Image();
  sheet.src = data.sheet;
  await sheet.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [sheet.width, sheet.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(sheet, 0, 0);
  const columns = sheet.width / data.side;
  return data.images.map((_, number) => {
    const [x, y] = [number % columns, Math.floor(number / columns)].map((k) => k * data.side);
    const cut = context.getImageData(x, y, data.side, data.side).data;
    return cut.filter((_, k) => k % 4 < 3); // without the opacity
  });
}

function drawScale() {
  const result = new ImageData(256, 1);
  for (let i = 0; i < 1024; i++) result.data[i] = i % 4 < 3 ? colors[3 * (i >> 2) + i % 4] : 255;
  byId("scale").getContext("2d").putImageData(result, 0, 0);
}

async function start() {
  colors = bytesOf(data.colors);
  drawScale();
  pixels = await cutSheet();
  for (const layer of data.layers) layer.maps = await unpack(layer.maps);
  data.images.forEach((image, number) => tiles.push(makeTile(image, number)));
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      onScreen[isIntersecting ? "add" : "delete"](target.number);
      if (isIntersecting) drawTile(target.number);
    }
  }, { rootMargin: "200px" });
  tiles.forEach((tile) => watch.observe(tile));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of controls) {
    byId(id).addEventListener("input", follow);
    byId(id).addEventListener("change", follow);
  }
  byId("images").addEventListener("keydown", walk);
  arrange();
  choose(shown[0], false);
  follow({ type: "change", target: byId("method") });
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  byId("status").textContent =
    `The pictures cannot be unpacked (${error.message}). Open this file in a browser of 2023 or later.`;
});
