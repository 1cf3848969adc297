// A curve: it follows the newest points until somebody zooms in.

/* global uPlot */

const FONT = "12px Inter, system-ui, sans-serif";

// In so many digits as a mark needs: also a ten-millionth of something is not 0.
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 }) : value.toExponential(2);
}

// Steps between the marks of an axis that counts.
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Curve {
  constructor(place, { x = "iteration", y = "loss", onZoom = () => {} }) {
    this.place = place;
    this.onZoom = onZoom;
    this.labels = { x, y };
    this.data = [[], []];
    this.zoom = null;
    this.observer = new ResizeObserver(() => this.plot.setSize(this.size()));
    this.observer.observe(place);
    this.build();
  }

  close() {
    this.observer.disconnect();
    this.plot.destroy();
  }

  // Again after a change of the theme: uPlot keeps the colours it was made with.
  build() {
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), this.data, this.place);
    this.plot.over.addEventListener("dblclick", () => this.unzoom());
    if (this.zoom) this.plot.setScale("x", this.zoom);
  }

  draw(iterations, losses) {
    this.data = [iterations, losses];
    if (this.zoom) {
      this.plot.setData(this.data, false);
      this.plot.setScale("x", this.zoom);
    } else {
      this.plot.setData(this.data);
    }
  }

  unzoom() {
    this.zoom = null;
    this.onZoom(false);
    this.plot.setData(this.data);
  }

  size() {
    const inner = getComputedStyle(this.place);
    const width = this.place.clientWidth - parseFloat(inner.paddingLeft) - parseFloat(inner.paddingRight);
    const height = this.place.clientHeight - parseFloat(inner.paddingTop) - parseFloat(inner.paddingBottom);
    return { width: Math.max(200, width), height: Math.max(120, height - 34) };
  }

  options() {
    const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: FONT, labelFont: FONT };
    return {
      ...this.size(),
      scales: { x: { time: false } },
      cursor: { drag: { x: true, y: false } },
      axes: [
        { ...axis, label: this.labels.x, labelSize: 20, size: 30, incrs: WHOLE },
        { ...axis, ...(this.labels.y ? { label: this.labels.y, labelSize: 20 } : {}), size: 58, values: (_, marks) => marks.map(short) },
      ],
      series: [
        { label: this.labels.x },
        { label: this.labels.y || "value", value: (_, value) => (value == null ? "--" : short(value)), stroke: color("--curve"), width: 1.25, points: { show: false }, spanGaps: false },
      ],
      hooks: {
        setSelect: [
          (plot) => {
            if (plot.select.width < 2) return;
            const [left, right] = [plot.select.left, plot.select.left + plot.select.width];
            this.zoom = { min: plot.posToVal(left, "x"), max: plot.posToVal(right, "x") };
            this.onZoom(true);
          },
        ],
      },
    };
  }
}
