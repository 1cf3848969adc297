// What the page knows. Messages come in at any time; what is shown changes once per drawn frame, or not while paused.

export const RING = 1024;

// What of an epoch of a run of the queue is a metric.
const EPOCH_METRICS = ["train_loss", "test_loss", "train_accuracy", "test_accuracy", "validation_loss", "validation_accuracy", "energy_kwh", "co2_g", "duration_s"];

// A loss that is no number is a gap in the curve.
function toPoint(loss) {
  return typeof loss === "number" ? loss : null;
}

export class LiveModel {
  constructor() {
    this.iterations = [];
    this.losses = [];
    this.state = null;
    this.mosaic = null;
    this.run = null;
    this.epochs = new Map();
    this.metrics = new Map();
    this.toldS = null;
    this.isPaused = false;
    this.queue = [];
    this.fresh = {};
    this.clockAheadS = Infinity;
    this.isStoreAway = false;
  }

  get heldPoints() {
    return this.queue.length;
  }

  // Take a message as it came; docs/live.md describes them.
  take(message, nowS) {
    // The least delay seen: what is left is the difference of the clocks.
    this.clockAheadS = Math.min(this.clockAheadS, nowS - message.sent_at);
    if (message.type === "beat") {
      this.isStoreAway = message.is_store_away;
      return;
    }
    this.isStoreAway = false;
    if (message.type === "snapshot") {
      this.fresh = { mosaic: null, run: null, replaces: true };
      this.queue = [];
    } else if (message.metrics || message.epochs) {
      this.toldS = message.sent_at;
    }
    if (message.points) {
      const { iterations, losses } = message.points;
      iterations.forEach((iteration, place) => this.queue.push([iteration, toPoint(losses[place])]));
      if (this.queue.length > RING) this.queue = this.queue.slice(-RING);
      this.fresh.state = message;
    }
    if (message.mosaic) this.fresh.mosaic = message.mosaic;
    if (message.run) this.fresh.run = message.run;
    for (const [name, series] of Object.entries(message.metrics ?? {})) this.keep(name, series);
    if (message.epochs) this.fresh.epochs = [...(this.fresh.epochs ?? []), ...message.epochs];
  }

  // Put points of a metric aside until they are shown: also while paused, no more than are shown.
  keep(name, { steps, values }) {
    this.fresh.metrics ??= new Map();
    const points = steps.map((step, place) => [step, toPoint(values[place])]);
    this.fresh.metrics.set(name, [...(this.fresh.metrics.get(name) ?? []), ...points].slice(-RING));
  }

  // Add points to the metrics, which are drawn by step, those of one step in the order in which they came. Returns
  // the names of those that have changed.
  releaseMetrics(fresh) {
    const changed = new Set();
    for (const [name, points] of fresh.metrics ?? []) {
      const all = [...(this.metrics.get(name) ?? []), ...points].slice(-RING);
      this.metrics.set(name, all.sort((one, other) => one[0] - other[0]));
      changed.add(name);
    }
    const epochs = fresh.epochs ? [...this.epochs.values()].sort((one, other) => one.epoch - other.epoch).slice(-RING) : [];
    for (const name of EPOCH_METRICS) {
      const known = epochs.filter((epoch) => epoch[name] != null);
      if (known.length === 0) continue;
      this.metrics.set(name, known.map((epoch) => [epoch.epoch, epoch[name]]));
      changed.add(name);
    }
    return changed;
  }

  // Show what has come. Returns which parts have changed; nothing does while paused.
  advance() {
    if (this.isPaused) return {};
    const fresh = this.fresh;
    this.fresh = {};
    if (fresh.replaces) {
      this.iterations = [];
      this.losses = [];
      this.epochs = new Map();
      this.metrics = new Map();
    }
    const hasPoints = this.release(fresh.replaces);
    if (fresh.state) this.state = fresh.state;
    if (fresh.mosaic !== undefined) this.mosaic = fresh.mosaic;
    if (fresh.run !== undefined) this.run = fresh.run;
    for (const epoch of fresh.epochs ?? []) this.epochs.set(epoch.epoch, epoch);
    const metrics = this.releaseMetrics(fresh);
    return {
      metrics: metrics.size > 0 || fresh.replaces === true ? metrics : null,
      points: hasPoints || fresh.replaces === true,
      state: fresh.state !== undefined,
      mosaic: fresh.mosaic !== undefined,
      run: fresh.run !== undefined || fresh.epochs !== undefined,
    };
  }

  // Points come thirty times a second, many at once. Half of what waits is shown with each frame, so that the
  // curve moves with every one; nothing waits for longer than a few.
  release(all) {
    const count = all ? this.queue.length : Math.ceil(this.queue.length / 2);
    if (count === 0) return false;
    for (const [iteration, loss] of this.queue.splice(0, count)) {
      this.iterations.push(iteration);
      this.losses.push(loss);
    }
    if (this.iterations.length > RING) {
      this.iterations = this.iterations.slice(-RING);
      this.losses = this.losses.slice(-RING);
    }
    return true;
  }

  // How long ago the producer sent something, by the clock of the server; null before it has.
  ageS(nowS) {
    const updated = Math.max((this.fresh.state ?? this.state)?.updated_at ?? 0, this.toldS ?? 0);
    return updated === 0 ? null : Math.max(0, nowS - this.clockAheadS - updated);
  }
}
