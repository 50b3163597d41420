"use strict";
(() => {
  const status = document.getElementById("status");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const say = (text) => { status.textContent = text; };

  // Tables: heads sort, the form above filters.
  const collator = new Intl.Collator("en", { numeric: true });
  const valueOf = (row, column) => row.cells[column].dataset.v;
  function sort(table, head) {
    const column = head.cellIndex;
    const now = head.getAttribute("aria-sort");
    const first = head.dataset.first || "ascending";
    const order = now === null ? first : now === "ascending" ? "descending" : "ascending";
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const text = head.classList.contains("text") || column === 0;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (text ? collator.compare(x, y) : Number(x) - Number(y));
    });
    table.tBodies[0].append(...rows);
    say(`sorted by ${head.textContent.trim()}, ${order}`);
  }
  function filter(section) {
    const wanted = section.querySelector(".search").value.trim().toLowerCase();
    const kind = section.querySelector(".kind").value;
    const rows = all(".results tbody tr", section);
    for (const row of rows) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted) || (kind !== "" && row.dataset.kind !== kind);
    }
    section.querySelector(".count").value = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  }

  // Plots: chips choose who is in colour, and those stand in front.
  function show(section, chip, on) {
    chip.setAttribute("aria-pressed", String(on));
    for (const series of all(".plots .series", section)) {
      if (series.dataset.c !== chip.dataset.c) continue;
      series.classList.toggle("on", on);
      if (on) series.parentNode.append(series);
    }
  }

  for (const section of all(".environment")) {
    const table = section.querySelector(".results");
    all("thead th button", table).forEach((button) => {
      button.addEventListener("click", () => sort(table, button.closest("th")));
    });
    const form = section.querySelector(".filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => filter(section));
    const more = form.querySelector(".more");
    const widen = () => table.classList.toggle("all", more.checked);
    more.addEventListener("change", widen);
    widen();
    filter(section);
    const chips = all(".chip", section);
    chips.forEach((chip) => chip.addEventListener("click", () => {
      show(section, chip, chip.getAttribute("aria-pressed") !== "true");
    }));
    all(".chip-all", section).forEach((button) => button.addEventListener("click", () => {
      chips.forEach((chip) => show(section, chip, button.dataset.all === "true"));
    }));
  }

  // Commands: copied, or selected where a browser lets nobody copy.
  async function copy(button) {
    const code = document.getElementById(button.dataset.for);
    try {
      await navigator.clipboard.writeText(code.textContent);
      say("copied");
    } catch {
      for (let parent = code.parentNode; parent; parent = parent.parentNode) {
        if (parent.tagName === "DETAILS") parent.open = true;
      }
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      code.closest("pre").focus();
      say("selected; copy it with the keyboard");
      return;
    }
    const text = button.firstChild;
    const before = text.data;
    if (before === "Copied") return;
    text.data = "Copied";
    setTimeout(() => { text.data = before; }, 1500);
  }
  all(".copy").forEach((button) => button.addEventListener("click", () => copy(button)));

  // Replays.
  const SVG = "http://www.w3.org/2000/svg";
  const OUTCOMES = { d: "delivered", l: "late", x: "lost", e: "battery empty", r: "refused" };
  const MILLISECONDS = 350;
  const HALF = 500;
  function make(name, attributes, parent) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  }
  function shape(state, x, y, size, parent) {
    const r = 9 + 9 * size;
    const path = {
      l: `M${x} ${y - 1.2 * r}l${1.1 * r} ${2 * r}h${-2.2 * r}Z`,
      x: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
      e: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`,
      r: `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}Z`,
    }[state];
    if (path) make("path", { class: state, d: path }, parent);
    else make("circle", { class: state, cx: x, cy: y, r: state === "d" ? r : 9 }, parent);
  }
  function replay(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const cell = box.querySelector(".cell");
    const track = box.querySelector(".track");
    const slider = box.querySelector(".slider");
    const play = box.querySelector(".play");
    const fact = (name, text) => { box.querySelector(".f-" + name).textContent = text; };
    const scale = (HALF - 30) / data.radius_m;
    const at = (metres) => Math.round(metres * scale);
    cell.setAttribute("viewBox", `${-HALF} ${-HALF} ${2 * HALF} ${2 * HALF}`);
    const frames = data.frames;
    const last = frames.length - 1;
    const few = frames[0].subchannel.length <= 60;

    const [width, height, left, bottom] = [340, 150, 34, 22];
    track.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const x = (seconds) => left + (width - left - 8) * seconds / Math.max(frames[last].elapsed_s, 1e-9);
    const y = (accuracy) => 6 + (height - bottom - 6) * (1 - accuracy);
    for (const value of [0, 0.5, 1]) {
      make("path", { class: "grid", d: `M${left} ${y(value)}H${width - 8}` }, track);
      make("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, track).textContent = value;
    }
    make("path", { class: "guide", d: `M${left} ${y(data.target)}H${width - 8}` }, track);
    make("text", { x: width - 8, y: y(data.target) - 4, "text-anchor": "end" }, track).textContent = "target";
    make("text", { x: left, y: height - 6 }, track).textContent = "0 s";
    make("text", { x: width - 8, y: height - 6, "text-anchor": "end" }, track).textContent =
      `${frames[last].elapsed_s.toFixed(0)} s of simulated time`;
    const points = frames.map((frame) => `${x(frame.elapsed_s).toFixed(1)},${y(frame.accuracy).toFixed(1)}`);
    make("polyline", { class: "line", points: points.join(" "), style: "--c:var(--muted);stroke-width:1" }, track);
    const line = make("polyline", { class: "line", style: "--c:var(--s0)" }, track);
    const dot = make("circle", { r: 4.5, class: "d" }, track);

    function draw(index) {
      const frame = frames[index];
      cell.replaceChildren();
      make("circle", { class: "rim", cx: 0, cy: 0, r: HALF - 20 }, cell);
      const places = frame.subchannel.map((_, k) => [at(frame.place_m[2 * k]), -at(frame.place_m[2 * k + 1])]);
      const sites = data.sites_m.map(([a, b]) => [at(a), -at(b)]);
      places.forEach(([px, py], k) => {
        if (frame.subchannel[k] < 0 || !(frame.state[k] in OUTCOMES)) return;
        const near = sites.reduce((a, b) => Math.hypot(a[0] - px, a[1] - py) <= Math.hypot(b[0] - px, b[1] - py) ? a : b);
        const broken = frame.state[k] === "d" ? "none" : "14 10";
        make("path", { class: "link " + frame.state[k], d: `M${px} ${py}L${near[0]} ${near[1]}`, "stroke-dasharray": broken, style: "stroke-width:4" }, cell);
      });
      sites.forEach(([a, b]) => make("path", { class: "site", d: `M${a} ${b - 26}l24 44h-48Z` }, cell));
      places.forEach(([px, py], k) => shape(frame.state[k], px, py, frame.power[k] / 100, cell));
      if (few) {
        places.forEach(([px, py], k) => {
          if (frame.subchannel[k] >= 0) make("text", { x: px, y: py - 24 }, cell).textContent = frame.subchannel[k] + 1;
        });
      }
      line.setAttribute("points", points.slice(0, index + 1).join(" "));
      dot.setAttribute("cx", x(frame.elapsed_s));
      dot.setAttribute("cy", y(frame.accuracy));
      const counts = Object.entries(OUTCOMES)
        .map(([letter, name]) => [[...frame.state].filter((state) => state === letter).length, name])
        .filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`);
      const part = frame.subchannel.filter((channel) => channel >= 0).length;
      fact("round", `${frame.round} of ${data.rounds}`);
      fact("accuracy", frame.accuracy.toFixed(3));
      fact("time", `${frame.elapsed_s.toFixed(1)} s`);
      fact("last", frame.round === 0 ? "not begun" : `${frame.round_s.toFixed(2)} s, ${frame.energy_j.toFixed(1)} J`);
      fact("updates", frame.round === 0 ? `${frame.state.length} devices wait`
        : `${part} of ${frame.state.length} devices took part${counts.length ? ": " + counts.join(", ") : ""}`);
      slider.value = index;
      slider.setAttribute("aria-valuetext", `round ${frame.round} of ${data.rounds}`);
    }
    let timer = null;
    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
      play.setAttribute("aria-pressed", "false");
    }
    const go = (index) => draw(Math.min(Math.max(index, 0), last));
    play.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (Number(slider.value) === last) go(0);
      play.textContent = "Pause";
      play.setAttribute("aria-pressed", "true");
      timer = setInterval(() => {
        go(Number(slider.value) + 1);
        if (Number(slider.value) === last) stop();
      }, MILLISECONDS);
    });
    slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
    all(".step", box).forEach((button) => button.addEventListener("click", () => {
      stop();
      go(Number(slider.value) + Number(button.dataset.by));
    }));
    // nothing moves by itself; what is first seen is a round in which something happens
    go(Math.min(1, last));
  }
  all(".replay").forEach(replay);

  // On paper everything is open.
  addEventListener("beforeprint", () => all(".commands").forEach((one) => { one.open = true; }));
})();
