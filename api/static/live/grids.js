// The sixteen tiles, and what the network made of them in the same places.

const TILES = 16;
// Larger pictures are photographs, which look better smoothed.
const EXACT_SIDE = 64;

function element(name, className = "") {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

function percent(fraction) {
  return `${(100 * fraction).toFixed(1)} %`;
}

export class Grids {
  constructor(tiles, predictions) {
    this.tiles = Array.from({ length: TILES }, () => this.addTile(tiles));
    this.predictions = Array.from({ length: TILES }, () => this.addPrediction(predictions));
    this.show(null);
  }

  addTile(place) {
    const box = place.appendChild(element("li"));
    const image = box.appendChild(element("img"));
    image.addEventListener("load", () => {
      image.classList.toggle("pixelated", Math.max(image.naturalWidth, image.naturalHeight) <= EXACT_SIDE);
    });
    return { box, image, label: box.appendChild(element("div", "label")) };
  }

  addPrediction(place) {
    const box = place.appendChild(element("li"));
    const label = box.appendChild(element("div", "label"));
    const confidence = box.appendChild(element("div", "confidence"));
    const bar = box.appendChild(element("div", "bar"));
    return { box, label, confidence, fill: bar.appendChild(element("i")) };
  }

  // Show a mosaic, placeholders where there is none yet. Returns how many predictions are right, or null.
  show(mosaic) {
    for (let place = 0; place < TILES; place += 1) {
      this.showTile(this.tiles[place], mosaic?.tiles[place]);
      this.showPrediction(this.predictions[place], mosaic?.tiles[place]);
    }
    return mosaic && mosaic.tiles.filter((tile) => tile.prediction === tile.ground_truth).length;
  }

  showTile({ box, image, label }, tile) {
    mark(box, tile);
    image.hidden = !tile;
    label.replaceChildren();
    if (!tile) {
      image.removeAttribute("src");
      return;
    }
    image.src = tile.image;
    image.alt = `sample ${tile.sample_id}`;
    label.append(tile.prediction);
    if (tile.prediction !== tile.ground_truth) {
      const truth = label.appendChild(element("span"));
      truth.textContent = ` is ${tile.ground_truth}`;
    }
    box.title = `sample ${tile.sample_id}: predicted ${tile.prediction}, truth ${tile.ground_truth}`;
  }

  showPrediction({ box, label, confidence, fill }, tile) {
    mark(box, tile);
    label.textContent = tile ? tile.prediction : "";
    confidence.textContent = tile ? percent(tile.confidence) : "";
    fill.style.width = tile ? `${100 * tile.confidence}%` : "0";
    box.title = tile ? `${tile.prediction}, ${percent(tile.confidence)} sure` : "";
  }
}

function mark(box, tile) {
  const isRight = tile && tile.prediction === tile.ground_truth;
  box.className = tile ? (isRight ? "right" : "wrong") : "placeholder";
  if (!tile) box.title = "";
}
