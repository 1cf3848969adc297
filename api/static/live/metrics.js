// A curve for each metric of a run: as many as fit on a page, costs and the machine last, and a filter for the others.

import { Curve } from "./chart.js";

const MOST = 12;
const SYSTEM = "system/";
const COST = /duration|energy|co2/i;

function inOrder(names) {
  const rank = (name) => (name.startsWith(SYSTEM) ? 2 : COST.test(name) ? 1 : 0);
  return [...names].sort((one, other) => rank(one) - rank(other) || one.localeCompare(other, "en"));
}

export class MetricGrid {
  // place: where the curves are. onCount: told how many are shown of how many.
  constructor(place, write, onCount) {
    this.place = place;
    this.write = write;
    this.onCount = onCount;
    this.filter = "";
    this.boxes = new Map();
  }

  // Draw the metrics that have changed. xLabel: what a step is.
  draw(metrics, changed, xLabel) {
    const wanted = inOrder(metrics.keys()).filter((name) => name.toLowerCase().includes(this.filter));
    const shown = wanted.slice(0, MOST);
    for (const [name, box] of this.boxes) {
      if (shown.includes(name)) continue;
      box.curve.close();
      box.element.remove();
      this.boxes.delete(name);
    }
    shown.forEach((name, at) => {
      const isNew = !this.boxes.has(name);
      const box = this.boxes.get(name) ?? this.add(name, xLabel);
      if (this.place.children[at] !== box.element) this.place.insertBefore(box.element, this.place.children[at] ?? null);
      if (isNew || changed.has(name)) this.drawOne(box, metrics.get(name));
    });
    this.onCount(shown.length, metrics.size);
  }

  // Again after a change of the theme.
  rebuild() {
    for (const { curve } of this.boxes.values()) curve.build();
  }

  add(name, xLabel) {
    const element = document.createElement("section");
    element.className = "metric";
    element.setAttribute("aria-label", name);
    const head = element.appendChild(document.createElement("div"));
    head.className = "head";
    head.appendChild(document.createElement("h3")).textContent = name;
    const last = head.appendChild(document.createElement("span"));
    last.className = "quiet";
    const figure = element.appendChild(document.createElement("figure"));
    this.place.append(element);
    const box = { element, last, curve: new Curve(figure, { x: xLabel, y: "" }) };
    this.boxes.set(name, box);
    return box;
  }

  drawOne({ last, curve }, points) {
    curve.draw(points.map(([step]) => step), points.map(([, value]) => value));
    last.textContent = points.length ? this.write(points[points.length - 1][1]) : "";
  }
}
