// Runs in the page before its own scripts: notes what each drawn frame of the chart shows, after it is drawn.
(() => {
  const frames = [];
  window.drawnFrames = frames;
  let made;
  let last = 0;
  function note(plot) {
    const [iterations, losses] = plot.data;
    const now = Date.now() / 1000;
    const fresh = [];
    for (let place = iterations.length - 1; place >= 0 && iterations[place] > last; place -= 1) {
      fresh.push(losses[place]);
    }
    if (fresh.length === 0) return;
    last = iterations[iterations.length - 1];
    frames.push([now, last, fresh]);
  }
  Object.defineProperty(window, "uPlot", {
    configurable: true,
    get: () => made,
    set: (original) => {
      made = function spied(options, ...rest) {
        const hooks = options.hooks ?? {};
        return new original({ ...options, hooks: { ...hooks, draw: [...(hooks.draw ?? []), note] } }, ...rest);
      };
      Object.assign(made, original);
    },
  });
})();
