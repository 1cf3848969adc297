// Plotly.react keeps zoom, pan and hidden legends because uirevision stays the same; st.plotly_chart is remounted.
// The bundle is loaded once from our own static folder, so that no request leaves the machine.
const PLOTLY_URL = new URL("app/static/plotly-basic-4.1.1.min.js", window.location.href).href;
const CONFIG = {
  displaylogo: false,
  // Plotly shows a button that uploads the chart to its cloud unless it is told not to.
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"],
};
const EXPORT_SCALE = 2;

// Drawn by the browser from what it shows; nothing is sent anywhere.
function saveButton(Plotly, format, icon) {
  const save = (chart) =>
    Plotly.downloadImage(chart, {
      format,
      filename: chart.getAttribute("aria-label").replace(/[^\p{L}\p{N}]+/gu, "-"),
      width: chart.offsetWidth,
      height: chart.offsetHeight,
      scale: format === "png" ? EXPORT_SCALE : 1,
    });
  return { name: `save-${format}`, title: `Save as ${format.toUpperCase()}`, icon, click: save };
}

// One object for all drawings: with another configuration Plotly begins the chart anew, and the zoom is lost.
let config;

function configured(Plotly) {
  const { camera, disk } = Plotly.Icons;
  config ??= {
    ...CONFIG,
    modeBarButtonsToAdd: [saveButton(Plotly, "png", camera), saveButton(Plotly, "svg", disk)],
  };
  return config;
}

function loadPlotly() {
  window.wattlePlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = PLOTLY_URL;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      window.wattlePlotly = undefined;
      reject(new Error("The chart library could not be loaded. Reload the page."));
    };
    document.head.append(script);
  });
  return window.wattlePlotly;
}

function themed(layout, root) {
  const style = getComputedStyle(root);
  const value = (name) => style.getPropertyValue(name).trim();
  const text = value("--st-text-color");
  const line = value("--st-border-color");
  const quiet = value("--st-gray-text-color") || text;
  const background = value("--st-background-color");
  const axis = (own) => ({
    ...own,
    gridcolor: line,
    linecolor: line,
    color: quiet,
    automargin: true,
  });
  return {
    ...layout,
    // Not transparent: Plotly derives the colours of what it adds on hover from these two.
    paper_bgcolor: background,
    plot_bgcolor: background,
    font: { family: value("--st-font"), color: text, size: 12 },
    hoverlabel: { bgcolor: background, bordercolor: line, font: { color: text } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: quiet, activecolor: value("--st-primary-color") },
    // What stands over lines has the page behind it.
    annotations: layout.annotations?.map((own) => (own.bgcolor ? { ...own, bgcolor: background } : own)),
    xaxis: { ...axis(layout.xaxis), spikecolor: quiet, spikethickness: 1, spikedash: "solid" },
    yaxis: axis(layout.yaxis),
  };
}

// The sidebar changes the width without a resize of the window; leaving the page changes it to nothing.
function followWidth(Plotly, chart) {
  const observer = new ResizeObserver(() => {
    if (!chart.isConnected) {
      observer.disconnect();
      Plotly.purge(chart);
    } else if (chart.data && chart.offsetWidth > 0) {
      // Of a legend that needs fewer lines than before, only a second drawing finds the place.
      Plotly.Plots.resize(chart).then(() => chart.isConnected && chart.data && Plotly.redraw(chart));
    }
  });
  observer.observe(chart);
}

function draw(Plotly, root) {
  const figures = root.wattleFigures;
  while (root.children.length > figures.length) {
    Plotly.purge(root.lastChild);
    root.lastChild.remove();
  }
  // All places first: a chart takes its width from the grid, which needs to know how many there are.
  while (root.children.length < figures.length) {
    const chart = document.createElement("div");
    chart.className = "wattle-chart";
    chart.setAttribute("role", "figure");
    root.append(chart);
    followWidth(Plotly, chart);
  }
  const style = getComputedStyle(root);
  const look = ["--st-text-color", "--st-background-color"].map((name) => style.getPropertyValue(name)).join();
  figures.forEach((json, index) => {
    const chart = root.children[index];
    // The page is drawn every second, also when there is nothing new to see.
    if (chart.wattleDrawn === look + json) return;
    chart.wattleDrawn = look + json;
    // Parsing anew gives Plotly new arrays; with the same array object it would not redraw.
    const figure = JSON.parse(json);
    chart.setAttribute("aria-label", figure.layout.title.text);
    chart.style.height = `${figure.layout.height + 2}px`;
    Plotly.react(chart, figure.data, themed(figure.layout, root), configured(Plotly));
    if (!chart.wattleListens) {
      chart.wattleListens = true;
      chart.on("plotly_click", ({ points }) => points[0]?.customdata && root.wattleClick(points[0].customdata));
    }
  });
}

function redraw(root) {
  return loadPlotly().then(
    (Plotly) => root.isConnected && draw(Plotly, root),
    (error) => {
      root.className = "wattle-charts-problem";
      root.textContent = error.message;
    },
  );
}

export default function ({ data, parentElement, setTriggerValue }) {
  let root = parentElement.querySelector(".wattle-charts");
  if (!root) {
    root = document.createElement("div");
    root.className = "wattle-charts";
    parentElement.append(root);
  }
  root.wattleFigures = data.figures;
  root.wattleClick = (id) => setTriggerValue("clicked", id);
  redraw(root);
}
