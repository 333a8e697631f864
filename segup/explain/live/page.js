/* The live page: what is asked (the state), the controls, the maps, and the address that holds it all. */
(() => {
  "use strict";
  const A = Arithmetic;
  const { el, button, copied } = Parts;
  const $ = (id) => document.getElementById(id);
  const MOST = 64;
  const MOST_SIZE = 65536;
  const MOST_TEXT = 300;
  const MOST_NUMBERS = 4096;
  document.documentElement.classList.toggle("framed", window.parent !== window); // a guide or a notebook says the rest

  // The state, and the address that holds it ---------------------------------------------------------------------------

  const FRESH = { words: "deconv k4 s2 p1", input: [1, 4, 4], out: 0, x: "ones", w: "arange", bias: 0, at: null, from: null,
    channel: 0, view: "", step: -1, matched: false };
  let state = { ...FRESH };
  let dragging = false;
  let layer = null; // the single layer, where the words name one that can be read
  let op = null; // the layer with its numbers, where it works

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const intOf = (text, low, high, otherwise) => (/^-?[0-9]{1,9}$/.test(String(text).trim()) ? clamp(Number(text), low, high) : otherwise);
  const isChain = () => A.layersOf(state.words).length > 1;
  const sizesOnly = () => isChain() || Math.max(...state.input.slice(1)) > MOST;

  /** Numbers in an address: rows between semicolons, channels between |. */
  function valuesFrom(text) {
    if (/^(ones|arange|random:[0-9]{1,6})$/.test(text)) return text;
    if (text.length > 100000 || !/^[-+0-9.e,;|~]+$/.test(text)) return null;
    const blocks = text.split("~").map((block) => block.split("|").map((map) => map.split(";").map((row) => row.split(",").map(Number))));
    const flat = blocks.flat(3);
    if (flat.length > MOST_NUMBERS || !flat.every(Number.isFinite)) return null;
    return blocks.length > 1 ? blocks : blocks[0];
  }
  const valuesText = (values) => (typeof values === "string" ? values : typeof values[0][0][0] === "number" ? mapsText(values) : values.map(mapsText).join("~"));
  const mapsText = (maps) => maps.map((map) => map.map((row) => row.join(",")).join(";")).join("|");

  function hash() {
    const parts = new URLSearchParams();
    parts.set("l", state.words);
    parts.set("i", state.input.join("x"));
    if (state.out) parts.set("o", state.out);
    if (state.x !== "ones") parts.set("x", valuesText(state.x));
    if (state.w !== "arange") parts.set("w", valuesText(state.w));
    if (String(state.bias) !== "0") parts.set("b", String(state.bias));
    if (state.at) parts.set("at", state.at.slice(1).join(","));
    if (state.from) parts.set("from", state.from.join(","));
    if (state.channel) parts.set("c", state.channel);
    if (state.view) parts.set("v", state.view);
    if (state.step >= 0) parts.set("t", state.step);
    if (state.matched) parts.set("m", 1);
    return `#v1:${parts.toString().replaceAll("%2C", ",").replaceAll("%3B", ";").replaceAll("%7C", "|").replaceAll("%3A", ":")}`;
  }

  /** The state that an address holds; what is out of bounds is moved into them, what cannot be read is left out. */
  function stateFrom(text) {
    const found = { ...FRESH };
    if (!text.startsWith("#v1:")) return found;
    const parts = new URLSearchParams(text.slice(4));
    const words = parts.get("l");
    if (words !== null) found.words = words.slice(0, MOST_TEXT);
    const numbers = (name) => (parts.get(name) || "").split(/[x,]/).map((one) => intOf(one, 0, MOST_SIZE, -1));
    let size = numbers("i");
    if (size.every((n) => n >= 1)) {
      if (size.length === 1) size = [1, size[0], size[0]];
      if (size.length === 2) size = [defaultChannels(found.words), ...size];
      if (size.length === 3) found.input = [Math.min(size[0], MOST), size[1], size[2]];
    } else found.input = [defaultChannels(found.words), 4, 4];
    found.out = intOf(parts.get("o"), 0, MOST, 0);
    const biases = (parts.get("b") || "0").slice(0, 2000).split(",").slice(0, MOST).map((one) => clamp(Number(one) || 0, -1e6, 1e6));
    found.bias = biases.length > 1 ? biases : biases[0];
    for (const name of ["x", "w"]) {
      const values = parts.get(name) === null ? null : valuesFrom(parts.get(name));
      if (values) found[name] = name === "w" && A.shapeOf(values).length === 3 && !/^\s*carafe/i.test(found.words) ? [values] : values;
    }
    found.channel = intOf(parts.get("c"), 0, MOST, 0);
    const at = numbers("at");
    if (parts.get("at") && at.length === 2 && at.every((n) => n >= 0)) found.at = [found.channel, ...at];
    const from = numbers("from");
    if (parts.get("from") && from.length === 3 && from.every((n) => n >= 0)) found.from = from;
    found.view = /^[a-z_]{1,20}$/.test(parts.get("v") || "") ? parts.get("v") : "";
    found.step = intOf(parts.get("t"), -1, 1e6, -1);
    found.matched = parts.get("m") === "1";
    return found;
  }

  /** Channels that a layer needs where none are named. */
  function defaultChannels(words) {
    try {
      const one = A.layerOf(words);
      return one.kind === "pixel_shuffle" ? Math.min(MOST, one.factor[0].num ** 2) : Math.min(MOST, one.groups || 1);
    } catch { return 1; }
  }

  /** Change the state and show it; a change that is done makes a step for the back button. */
  function change(changes, done = true) {
    state = { ...state, ...changes };
    if (changes.words !== undefined || changes.input || changes.out !== undefined) fit();
    try { // a slider that is drawn along makes one step, whatever it passed on its way
      if (location.hash !== hash()) dragging ? history.replaceState(null, "", hash()) : history.pushState(null, "", hash());
    } catch { /* a page within a page without an address of its own */ }
    dragging = !done;
    const pointing = Object.keys(changes).every((key) => key === "at" || key === "from");
    if (pointing && op && Object.keys(changes).length) { // the maps stay as they are, under the pointer
      light();
      $("tools")?.replaceWith(toolsFigure(op.shape[0], state.channel));
    } else show();
    if (window.parent !== window) window.parent.postMessage({ segup: hash() }, "*");
  }

  /** Bring what depends on the layer and the size back within them. */
  function fit() {
    stop();
    state.step = -1;
    if (typeof state.x !== "string" && A.shapeOf(state.x).join() !== state.input.join()) state.x = resized(state.x, state.input);
    let one = null;
    try { one = A.layerOf(state.words); } catch { /* said elsewhere */ }
    if (one && typeof state.w !== "string" && !isChain()) {
      try {
        const wanted = A.weightShape(one, state.input[0], outputs(one), state.input.slice(1));
        if (!wanted || A.shapeOf(state.w).join() !== wanted.join()) state.w = wanted && wanted.length === 4 ? resized4(state.w, wanted) : "arange";
      } catch { state.w = "arange"; }
    }
  }
  const resized = (values, [c, h, w]) => A.tensor([c, h, w], () => 0).map((map, i) => map.map((row, r) => row.map((_, k) => values[i]?.[r]?.[k] ?? 1)));
  const resized4 = (values, [a, ...rest]) => [...Array(a).keys()].map((i) => resized(values[i] || [], rest));
  const outputs = (one) => (one.kind === "conv" || one.kind === "deconv" ? state.out || one.groups : A.channelsOut(one, state.input[0]));

  function drawn(seed, low, high) {
    let at = seed * 2654435761 % 4294967296;
    return () => {
      at = (at + 0x6d2b79f5) | 0;
      let t = Math.imul(at ^ (at >>> 15), 1 | at);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return low + Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * (high - low + 1));
    };
  }
  function made(values, shape, low, high) {
    if (typeof values !== "string") return values;
    if (values === "ones") return A.tensor(shape, () => 1);
    if (values === "arange") return A.tensor(shape, (n) => n + 1);
    return A.tensor(shape, drawn(Number(values.split(":")[1]) + 1, low, high));
  }

  // What is shown ------------------------------------------------------------------------------------------------------

  const by = (pair) => `${pair[0]}×${pair[1]}`;

  function show() {
    if ($("words").value !== state.words) $("words").value = state.words;
    const chain = isChain();
    layer = op = null;
    let problem = null;
    if (!chain) {
      try {
        layer = A.layerOf(state.words);
        A.checked(layer);
        if (sizesOnly()) A.outSize(layer, state.input.slice(1));
        else {
          const shape = A.weightShape(layer, state.input[0], outputs(layer), state.input.slice(1));
          A.outSize(layer, state.input.slice(1));
          const weight = shape && !(layer.kind === "carafe" && state.w === "arange") ? made(state.w, shape, -3, 3) : null;
          const bias = state.bias && shape && layer.kind !== "carafe" ? Array.from({ length: outputs(layer) }, (_, c) => (Array.isArray(state.bias) ? state.bias[c] ?? 0 : state.bias)) : null;
          op = A.operation(layer, made(state.x, state.input, 0, 9), weight, bias, outputs(layer));
          if (state.at && (state.at[0] >= op.shape[0] || state.at[1] >= op.shape[1] || state.at[2] >= op.shape[2])) state.at = null;
          if (state.from && state.from.some((n, i) => n >= state.input[i])) state.from = null;
          if (state.channel >= op.shape[0]) state.channel = 0;
        }
      } catch (error) {
        if (!(error instanceof A.Refusal)) throw error;
        problem = error;
      }
    }
    if (layer) $("kind").value = layer.kind;
    $("kind").parentElement.hidden = chain;
    showControls();
    showRefusal(problem);
    showFormula();
    $("single").hidden = chain || !op;
    $("chain").hidden = !sizesOnly() || !!problem;
    if (op) showMaps();
    const panels = $("panels");
    panels.replaceChildren();
    if (!$("chain").hidden) showChain(problem);
    if (!chain && layer && !problem) panels.append(...[proofPanel(), overlapPanel(), unreadPanel(), reachPanel(), codePanel()].filter(Boolean));
    $("answers").replaceChildren(...[...panels.querySelectorAll("h2")].map((title) => button(title.textContent, () => { title.scrollIntoView({ block: "start" }); title.focus({ preventScroll: true }); })));
  }

  function showRefusal(problem) {
    const box = $("refusal");
    box.hidden = !problem;
    box.replaceChildren();
    if (!problem) return;
    box.append(problem.message, waysOf(problem.ways));
  }

  const waysOf = (ways) => el("div", { class: "ways" }, ...ways.map((way) => button(`Try ${way.say}`, () => applyWay(way), { class: "way" })));
  function applyWay(way) {
    const changes = {};
    if (way.layer) changes.words = way.layer;
    if (way.input) changes.input = [state.input[0], ...way.input];
    if (way.layer && !way.input && layer && state.input[0] === 1) changes.input = [Math.max(1, defaultChannels(way.layer)), ...state.input.slice(1)];
    change({ ...changes, at: null, from: null });
  }

  function showFormula() {
    const box = $("formula");
    box.replaceChildren();
    if (!layer || isChain()) return;
    const size = state.input.slice(1);
    let lines;
    try { lines = A.formulas(layer, size); } catch { return; }
    const symbols = [0, 1].map((i) => A.symbols(layer, i));
    const same = lines[0] === lines[1] && symbols[0] === symbols[1];
    if (op) {
      const channels = (n) => (n === 1 ? "" : `${n} channels of `);
      box.append(el("div", {}, el("b", {}, `${channels(state.input[0])}${by(size)} → ${channels(op.shape[0])}${by(op.shape.slice(1))}`)));
    } else box.append(el("div", {}, el("b", {}, by(size))));
    (same ? [0] : [0, 1]).forEach((i) => box.append(
      el("div", { class: "symbols" }, `${same ? "" : `${A.AXES[i]}: `}output = ${symbols[i]}`),
      el("div", {}, `${same ? "" : `${A.AXES[i]}: `}${lines[i]}`)));
  }

  // Controls -----------------------------------------------------------------------------------------------------------

  const KIND_NAMES = { conv: "convolution", deconv: "transposed convolution", pool: "pooling", resize: "resize",
    pixel_shuffle: "pixel shuffle", pixel_unshuffle: "pixel unshuffle", carafe: "CARAFE's window" };
  const KIND_WORDS = { conv: "conv k3 s1 p1", deconv: "deconv k4 s2 p1", pool: "pool k2", resize: "resize x2", pixel_shuffle: "pixel_shuffle x2",
    pixel_unshuffle: "pixel_unshuffle x2", carafe: "carafe x2 k3" };

  /** What may be set of a kind: name, how it is shown, its fields with the place in the layer, bounds of the slider. */
  function rowsOf(one) {
    const pair = (name, said, low, high) => ({ name, said, low, high, fields: [["height", [name, 0]], ["width", [name, 1]]] });
    const rows = [];
    if (["conv", "deconv", "pool"].includes(one.kind)) {
      rows.push(pair("kernel", "kernel", 1, 9), pair("stride", "stride", 1, 6));
      if (one.padding !== "same") {
        const fields = one.kind === "pool" ? [["height", ["padding", 0]], ["width", ["padding", 1]]] :
          [["top", ["padding", 0, 0]], ["bottom", ["padding", 0, 1]], ["left", ["padding", 1, 0]], ["right", ["padding", 1, 1]]];
        rows.push({ name: "padding", said: "padding", low: 0, high: 6, fields });
      }
      if (!(one.kind === "pool" && one.pool === "avg")) rows.push(pair("dilation", "dilation", 1, 4));
    }
    if (one.kind === "deconv" && !one.to) rows.push(pair("output_padding", "output_padding", 0, 3));
    if (one.kind === "carafe") rows.push({ name: "kernel", said: "kernel", low: 1, high: 7, step: 2, fields: [["size", ["kernel"]]] });
    if (one.to) rows.push({ ...pair("to", one.kind === "deconv" ? "output_size" : "size to reach", 1, 16) });
    if (one.groups !== undefined) rows.push({ name: "groups", said: "groups", low: 1, high: 4, fields: [["number", ["groups"]]] });
    return rows;
  }

  let controlsFor = "";
  function showControls() {
    const box = $("controls");
    const chain = isChain();
    const signature = `${chain ? "chain" : layer ? [layer.kind, layer.padding === "same", !!layer.to, layer.pool].join() : "none"}`;
    if (signature !== controlsFor || !box.children.length) {
      controlsFor = signature;
      box.replaceChildren(...controls(chain));
    }
    for (const field of box.querySelectorAll("[data-get]")) {
      const value = getters.get(field)();
      if (field.type === "checkbox") field.checked = value;
      else if (document.activeElement !== field || field.type === "range") field.value = value;
    }
  }

  const getters = new Map();
  function bound(node, get) { node.setAttribute("data-get", ""); getters.set(node, get); return node; }

  /** A legend, a slider for all fields at once, and a number field each. */
  function rowNode({ said, low, high, step, fields }, get, set, most = MOST) {
    const slider = bound(el("input", { type: "range", min: low, max: high, step: step || 1, "aria-label": `${said}, slider` }), () => get(0));
    slider.addEventListener("input", () => set(fields.map(() => Number(slider.value)), false));
    slider.addEventListener("change", () => set(fields.map(() => Number(slider.value)), true));
    const numbers = fields.map(([name], place) => {
      const field = bound(el("input", { type: "number", min: low, max: most, step: step || 1, "aria-label": `${said} ${name}`, title: name }), () => get(place));
      field.addEventListener("input", () => {
        if (field.value === "" || !Number.isInteger(Number(field.value))) return;
        set(fields.map((_, at) => (at === place ? clamp(Number(field.value), 0, most) : get(at))), false);
      });
      field.addEventListener("change", () => change({}));
      return field;
    });
    return el("fieldset", { class: `row${fields.length === 4 ? " four" : ""}` }, el("legend", {}, said, fields.length === 4 ? el("span", { class: "unit" }, " top, bottom, left, right") : null),
      el("div", { class: "fields" }, slider, ...numbers));
  }

  function controls(chain) {
    getters.clear();
    const nodes = [rowNode({ said: chain ? "input size" : "input", low: 1, high: chain ? 128 : 16, fields: [["height"], ["width"]] },
      (i) => state.input[i + 1], (values, done) => change({ input: [state.input[0], ...values.map((n) => Math.max(1, n))] }, done), MOST_SIZE)];
    if (chain || !layer) return nodes;
    nodes.push(rowNode({ said: "channels of the input", low: 1, high: 8, fields: [["number"]] }, () => state.input[0],
      ([n], done) => change({ input: [Math.max(1, n), ...state.input.slice(1)] }, done)));
    const learned = layer.kind === "conv" || layer.kind === "deconv";
    if (learned) nodes.push(rowNode({ said: "channels of the output", low: 1, high: 8, fields: [["number"]] }, () => state.out || layer?.groups || 1,
      ([n], done) => change({ out: Math.max(1, n) }, done)));
    const at = (path) => path.reduce((value, key) => (value === undefined || value === null ? value : value[key]), layer || {});
    for (const row of rowsOf(layer)) {
      const read = (path) => { const value = at(path); return Array.isArray(value) ? value[0] : value ?? 0; };
      nodes.push(rowNode(row, (i) => read(row.fields[i][1]), (values, done) => {
        if (!layer) return;
        const next = structuredClone(layer);
        values.forEach((value, i) => {
          const path = row.fields[i][1];
          if (path.length === 1) next[path[0]] = Array.isArray(next[path[0]]) ? [value, value] : value;
          else if (path.length === 2) next[path[0]][path[1]] = Array.isArray(next[path[0]][path[1]]) ? [value, value] : value;
          else next[path[0]][path[1]][path[2]] = value;
        });
        const changes = { words: A.wordsFor(next) };
        if (row.name === "groups" && values[0] >= 1) {
          changes.input = [Math.min(MOST, Math.ceil(state.input[0] / values[0]) * values[0]), ...state.input.slice(1)];
          if (state.out) changes.out = Math.min(MOST, Math.ceil(state.out / values[0]) * values[0]);
        }
        change(changes, done);
      }));
    }
    const select = (said, name, values, get, set) => {
      const field = bound(el("select", { "aria-label": said }, ...values.map((value) => el("option", { value }, value))), get);
      field.addEventListener("change", () => set(field.value));
      return el("label", { class: "check" }, said, field);
    };
    const check = (said, get, set) => {
      const field = bound(el("input", { type: "checkbox" }), get);
      field.addEventListener("change", () => set(field.checked));
      return el("label", { class: "check" }, field, said);
    };
    const set = (changes) => change({ words: A.wordsFor({ ...layer, ...changes }) });
    if (layer.kind === "conv") {
      nodes.push(select("padding is", "padding", ["numbers", "same", "valid"], () => (layer?.padding === "same" ? "same" : "numbers"),
        (value) => set({ padding: value === "same" ? "same" : [0, 1].map((i) => { const axis = A.axisOf(layer, i); return value === "valid" ? [0, 0] : [axis.before, axis.after]; }) })));
      nodes.push(select("filled with", "padding_mode", A.PADDING_MODES, () => layer?.padding_mode, (value) => set({ padding_mode: value })));
    }
    if (layer.kind === "pool") {
      nodes.push(select("takes", "pool", ["max", "avg"], () => layer?.pool,
        (value) => set({ pool: value, ...(value === "avg" ? { dilation: [1, 1] } : { count_include_pad: true, divisor: null }) })));
      nodes.push(check("ceil_mode: round the size up", () => !!layer?.ceil, (value) => set({ ceil: value })));
      if (layer.pool === "avg") nodes.push(check("count_include_pad", () => layer?.count_include_pad !== false, (value) => set({ count_include_pad: value })));
    }
    if (layer.kind === "deconv")
      nodes.push(check("ask for an output_size", () => !!layer?.to, (value) => {
        const size = [0, 1].map((i) => Math.max(1, A.axisOut(A.axisOf({ ...layer, to: null }, i), state.input[i + 1])));
        set(value ? { to: size, output_padding: [0, 0] } : { to: null });
      }));
    if (layer.factor) nodes.push(factorNode());
    if (layer.kind === "resize") {
      nodes.push(select("mode", "mode", A.MODES, () => layer?.mode,
        (value) => set({ mode: value, ...(["bilinear", "bicubic"].includes(value) ? {} : { align_corners: false }) })));
      nodes.push(check("align_corners", () => !!layer?.align_corners, (value) => set({ align_corners: value, ...(value && !["bilinear", "bicubic"].includes(layer.mode) ? { mode: "bilinear" } : {}) })));
      nodes.push(check("to a size, not by a factor", () => !!layer?.to, (value) => set(value ?
        { to: [0, 1].map((i) => clamp(A.axisOut(A.axisOf(layer, i), state.input[i + 1]), 1, MOST)), factor: null } :
        { to: null, factor: [{ num: 2, den: 1 }, { num: 2, den: 1 }] })));
    }
    if (learned) {
      const field = bound(el("input", { type: "number", step: "any", "aria-label": "bias" }), () => state.bias);
      field.addEventListener("change", () => change({ bias: clamp(Number(field.value) || 0, -1e6, 1e6) }));
      nodes.push(el("label", { class: "check" }, "bias", field));
    }
    return nodes;
  }

  function factorNode() {
    const whole = layer.kind !== "resize";
    const slider = bound(el("input", { type: "range", min: whole ? 1 : 0.25, max: 4, step: whole ? 1 : 0.25, "aria-label": "factor, slider" }), () => (layer?.factor ? A.valueOf(layer.factor[0]) : 2));
    const write = (text, done) => {
      const parts = text.split("x").map((part) => A.factorOf(part.trim()));
      if (parts.includes(null) || !layer) return;
      const factor = [parts[0], parts[1] || parts[0]];
      const words = A.wordsFor({ ...layer, factor });
      const channels = layer.kind === "pixel_shuffle" ? Math.min(MOST, parts[0].num ** 2) : state.input[0];
      change({ words, input: [channels || 1, ...state.input.slice(1)] }, done);
    };
    const text = (value) => (Number.isInteger(value) ? `${value}` : `${value * 4}/4`.replace("2/4", "1/2").replace("6/4", "3/2").replace("10/4", "5/2").replace("14/4", "7/2"));
    slider.addEventListener("input", () => write(text(Number(slider.value)), false));
    slider.addEventListener("change", () => change({}));
    const field = bound(el("input", { type: "text", size: 6, "aria-label": "factor, such as 2, 3/2 or 2x3", inputmode: "text" }),
      () => (layer?.factor ? [...new Set(layer.factor.map(A.factorText))].join("x") : ""));
    field.addEventListener("change", () => write(field.value, true));
    return el("fieldset", { class: "row" }, el("legend", {}, "factor"), el("div", { class: "fields" }, slider, field));
  }

  // Maps ---------------------------------------------------------------------------------------------------------------

  const VIEWS = {
    result: "Result", scatter: "Scatter", zero_insertion: "Zero insertion", gradient: "Gradient", subpixel: "Sub-pixel",
    window: "Window", overlap: "Overlap", unread: "Unread",
  };
  const viewsOf = () => (layer.kind === "deconv" ? ["result", "scatter", "zero_insertion", "gradient", "subpixel", "overlap", "unread"] :
    ["result", "window", "overlap", "unread"]);
  const stepped = () => ["scatter", "zero_insertion", "gradient", "subpixel", "window"].includes(view());
  const view = () => (viewsOf().includes(state.view) ? state.view : "result");

  function stepsOf() {
    const [, h, w] = state.input, [, H, W] = op.shape;
    if (view() === "subpixel") return layer.stride[0] * layer.stride[1];
    return view() === "scatter" || view() === "gradient" ? h * w : H * W;
  }

  /** One map as a grid that a keyboard can walk. */
  function grid({ id, title, note, rows, columns, cell, top = 0, left = 0, head = true, act, label }) {
    const wide = Math.min(document.documentElement.clientWidth - 40, 1500);
    const narrow = document.documentElement.clientWidth < 600;
    const size = clamp(Math.floor((narrow ? wide - 26 : Math.min(wide * .36, 600)) / columns) - 2, 18, rows * columns > 900 ? 24 : 42);
    const small = size < 22;
    const table = el("table", { class: `grid${small ? " small" : ""}`, role: "grid", id, "aria-label": label || title, style: `--cell:${size}px` });
    if (head && !small)
      table.append(el("tr", { role: "row" }, el("th", { scope: "col" }, el("span", { class: "unseen" }, "row and column")), ...[...Array(columns).keys()].map((c) => el("th", { scope: "col", role: "columnheader" }, `${c - left}`))));
    for (let r = 0; r < rows; r++) {
      const line = el("tr", { role: "row" });
      if (head && !small) line.append(el("th", { scope: "row", role: "rowheader" }, `${r - top}`));
      for (let c = 0; c < columns; c++) {
        const { text, classes = "", place, shade, name, real = true } = cell(r, c);
        const node = el("td", { role: "gridcell", class: classes, tabindex: r === top && c === left ? "0" : "-1", "data-at": place ? place.join(",") : null, "aria-label": name || null });
        node.textContent = small || classes.includes("later") ? "" : text;
        if (text.length > 5) node.style.fontSize = `${Math.max(6, size * 1.55 / text.length)}px`;
        if (shade !== undefined) node.style.background = `rgba(var(--shade), ${shade})`;
        line.append(node);
      }
      table.append(line);
    }
    const cellOf = (event) => event.target.closest?.("td[data-at]");
    const places = (node) => node.dataset.at.split(",").map(Number);
    table.addEventListener("mouseover", (event) => { const node = cellOf(event); if (node) act.over?.(places(node)); });
    table.addEventListener("mouseleave", () => act.out?.());
    table.addEventListener("focusin", (event) => { const node = cellOf(event); if (node) act.over?.(places(node)); });
    table.addEventListener("click", (event) => { const node = cellOf(event); if (node && !event.target.closest("input")) act.pin?.(places(node), node); });
    table.addEventListener("dblclick", (event) => { const node = cellOf(event); if (node) act.edit?.(places(node), node); });
    table.addEventListener("keydown", (event) => {
      const node = event.target.closest("td");
      if (!node || event.target.tagName === "INPUT") return;
      const line = node.parentElement, lines = [...table.rows].filter((one) => one.querySelector("td"));
      const cells = [...line.querySelectorAll("td")], at = cells.indexOf(node), row = lines.indexOf(line);
      const to = { ArrowRight: () => cells[at + 1], ArrowLeft: () => cells[at - 1], Home: () => cells[0], End: () => cells[cells.length - 1],
        ArrowDown: () => lines[row + 1]?.querySelectorAll("td")[at], ArrowUp: () => lines[row - 1]?.querySelectorAll("td")[at] }[event.key];
      if (to) {
        event.preventDefault();
        const next = to();
        if (next) { node.tabIndex = -1; next.tabIndex = 0; next.focus(); }
      } else if ((event.key === "Enter" || event.key === " ") && node.dataset.at) { event.preventDefault(); act.pin?.(places(node), node); }
      else if ((event.key === "F2" || event.key === "e") && node.dataset.at && act.edit) { event.preventDefault(); act.edit(places(node), node); }
      else if (event.key === "Escape") change({ at: null, from: null });
    });
    return el("figure", {}, el("figcaption", {}, el("b", {}, title), note ? ` ${note}` : ""), el("div", { class: "scroll" }, table));
  }

  /** Type over a number where it stands. */
  function editCell(node, value, write) {
    const field = el("input", { type: "text", inputmode: "decimal", value: `${value}`, "aria-label": "new value" });
    node.replaceChildren(field);
    field.focus();
    field.select();
    let finished = false;
    const finish = (keep) => {
      if (finished) return;
      finished = true;
      const number = Number(field.value);
      if (keep && field.value.trim() !== "" && Number.isFinite(number) && Math.abs(number) <= 1e9) write(number);
      else show();
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") finish(true);
      if (event.key === "Escape") finish(false);
    });
    field.addEventListener("blur", () => finish(true));
  }
  function writeInput([c, r, k], value) {
    const values = structuredClone(op.x);
    values[c][r][k] = value;
    change({ x: values });
  }
  function writeWeight([a, b, i, j], value) {
    const values = structuredClone(made(state.w, A.shapeOf(op.weight), -3, 3));
    values[a][b][i][j] = value;
    change({ w: values });
  }

  const said = (index) => (op.channels === 1 && op.shape[0] === 1 ? index.slice(-2) : index).join(",");
  let source = 0; // the input channel that is shown first
  let values = null;

  function showMaps() {
    values = A.output(op);
    const tabs = viewsOf().map((name) => el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "maps", "aria-selected": String(name === view()),
      tabindex: name === view() ? "0" : "-1", onclick: () => { stop(); change({ view: name === "result" ? "" : name, step: -1 }); $(`tab-${name}`).focus(); } }, VIEWS[name]));
    const focused = document.activeElement?.id;
    $("views").replaceChildren(...tabs);
    if (focused?.startsWith("tab-")) $(`tab-${view()}`)?.focus();
    $("steps").hidden = !stepped();
    if (stepped()) {
      const most = stepsOf() - 1;
      const step = state.step < 0 ? most : Math.min(state.step, most);
      $("step").max = most;
      $("step").value = step;
      $("count").textContent = `${step + 1} / ${most + 1}`;
    }
    const keep = document.activeElement?.closest?.("td[data-at]");
    const table = keep?.closest("table")?.id, at = keep?.dataset.at;
    $("maps").replaceChildren(...figures());
    if (table && at) {
      const again = document.querySelector(`#${table} td[data-at="${at}"]`);
      if (again) { again.tabIndex = 0; again.focus({ preventScroll: true }); }
    }
    light();
  }

  const stepNow = () => { const most = stepsOf() - 1; return state.step < 0 ? most : Math.min(state.step, most); };
  const short = (value) => {
    const text = A.written(value, layer.kind === "resize" || layer.kind === "carafe");
    if (text.length <= 6) return text;
    if (Number.isInteger(value)) return text;
    return `${Number(value.toPrecision(3))}`;
  };

  function figures() {
    const [channels, h, w] = state.input;
    const [outs, H, W] = op.shape;
    const name = view();
    const step = stepped() ? stepNow() : -1;
    const channel = state.channel;
    const [first, last] = A.inputsOf(op, channel);
    source = clamp(source, 0, channels - 1);
    const sources = [...Array(last - first).keys()].map((n) => first + n).slice(0, 4);
    const act = (kind) => kind === "x" ? { over: (p) => hover({ from: p }), out: () => light(), pin: (p) => pin({ from: p, at: null }), edit: (p, node) => editCell(node, op.x[p[0]][p[1]][p[2]], (v) => writeInput(p, v)) } :
      { over: (p) => hover({ at: p }), out: () => light(), pin: (p) => pin({ at: p, from: null }) };
    const nodes = [];
    const windows = layer.kind === "conv" || layer.kind === "pool";
    const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
    const [top, left] = windows ? [high.before, wide.before] : [0, 0];
    const [rows, columns] = windows ? [h + high.before + high.after, w + wide.before + wide.after] : [h, w];
    const missing = A.unread(op);
    const mode = layer.padding_mode || "zeros";
    const filling = layer.pool === "max" ? "−∞" : "0";
    if (name !== "zero_insertion") for (const s of sources) nodes.push(grid({
      id: `x${s}`, title: `input x${channels > 1 ? `[${s}]` : ""}`, note: `${by([h, w])}${windows && (top || left || high.after || wide.after) ? `, ${by([rows, columns])} with its padding` : ""}`,
      rows, columns, top, left, act: act("x"), label: `input${channels > 1 ? `, channel ${s}` : ""}`,
      cell: (r, c) => {
        const [n, m] = [r - top, c - left];
        const inside = n >= 0 && n < h && m >= 0 && m < w;
        if (!inside) {
          const from = [A.sourceAt(n, h, mode), A.sourceAt(m, w, mode)];
          const value = from.includes(null) ? filling : short(op.x[s][from[0]][from[1]]);
          return { text: value, classes: `pad p-${r}-${c}`, name: `padding ${value}` };
        }
        const lost = missing[0].includes(n) || missing[1].includes(m);
        const text = short(op.x[s][n][m]);
        return { text, place: [s, n, m], classes: lost && (name === "unread" || windows) ? "unread" : "", name: `x[${said([s, n, m])}] is ${text}${lost ? ", read by no output" : ""}` };
      } }));
    if (sources.length < last - first) nodes.push(el("p", { class: "note" }, `… and ${last - first - sources.length} more channels go into this one.`));
    if (name === "zero_insertion") nodes.push(zeroFigure(first, step));
    if (layer.kind === "conv" || layer.kind === "deconv") for (const s of sources) nodes.push(weightFigure(s, channel, name, first, step));
    if (name === "scatter") nodes.push(scatterFigure(channel, step));
    else {
      const counts = name === "overlap" ? A.overlap(op) : null;
      const most = counts ? Math.max(1, ...counts.flat()) : 1;
      const shown = shownOutput(name, step, channel);
      nodes.push(grid({
        id: "y", title: name === "overlap" ? "how many inputs go into each output" : `output y${outs > 1 ? `[${channel}]` : ""}`, note: by([H, W]), rows: H, columns: W, act: act("y"), label: name === "overlap" ? "overlap" : `output${outs > 1 ? `, channel ${channel}` : ""}`,
        cell: (r, c) => {
          if (counts) return { text: `${counts[r][c]}`, place: [channel, r, c], shade: (.12 + .6 * counts[r][c] / most).toFixed(3), name: `${counts[r][c]} inputs go into y[${r},${c}]` };
          const { value, later, part } = shown(r, c);
          const text = short(value);
          const empty = !op.reads[0][r].length || !op.reads[1][c].length;
          return { text, place: [channel, r, c], classes: `${later ? "later" : ""} ${part ? "part" : ""} ${empty && name === "unread" ? "unread" : ""}`, name: later ? `y[${said([channel, r, c])}], a later step` : `y[${said([channel, r, c])}] is ${text}${empty ? ", which nothing reaches" : ""}` };
        } }));
    }
    nodes.push(toolsFigure(outs, channel));
    return nodes;
  }

  /** What of the output a step has reached: value, whether it comes later, whether this step makes it. */
  function shownOutput(name, step, channel) {
    const [, H, W] = op.shape, w = state.input[2];
    const y = values[channel];
    if (name === "window" || name === "zero_insertion") return (r, c) => ({ value: y[r][c], later: r * W + c > step, part: r * W + c === step });
    if (name === "gradient") {
      const partial = partialStamps(channel, step);
      return (r, c) => ({ value: partial.sum[r][c], later: !partial.touched[r][c], part: partial.last[r][c] });
    }
    if (name === "subpixel") {
      const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
      return (r, c) => {
        const phase = ((r + high.before) % high.s) * wide.s + ((c + wide.before) % wide.s);
        return { value: y[r][c], later: phase > step, part: phase === step };
      };
    }
    return (r, c) => ({ value: y[r][c], later: false, part: false });
  }

  /** The sums after the first inputs have stamped, on the output or on the whole canvas. */
  function partialStamps(channel, step, canvas = false) {
    const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
    const [rows, columns] = canvas ? A.canvasOf(op) : op.shape.slice(1);
    const cut = canvas ? [0, 0] : [high.before, wide.before];
    const [sum, touched, last] = [0, 1, 2].map(() => A.tensor([rows, columns], () => 0));
    const [first, end] = A.inputsOf(op, channel), w = state.input[2], share = op.shape[0] / layer.groups;
    for (let at = 0; at <= step; at++)
      for (let i = 0; i < high.k; i++) for (let j = 0; j < wide.k; j++) {
        const [r, c] = [Math.floor(at / w) * high.s + i * high.d - cut[0], (at % w) * wide.s + j * wide.d - cut[1]];
        if (r < 0 || c < 0 || r >= rows || c >= columns) continue;
        for (let s = first; s < end; s++) sum[r][c] += op.x[s][Math.floor(at / w)][at % w] * op.weight[s][channel % share][i][j];
        touched[r][c]++;
        if (at === step) last[r][c] = 1;
      }
    return { sum, touched, last, rows, columns };
  }

  function scatterFigure(channel, step) {
    const { sum, touched, last, rows, columns } = partialStamps(channel, step, true);
    const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
    const [, H, W] = op.shape;
    return grid({
      id: "y", title: "stamps, added where they overlap", note: `${by([rows, columns])}; what is hatched is cut by the padding, ${by([H, W])} stay`, rows, columns, top: high.before, left: wide.before, label: "stamps on the canvas of the output",
      act: { over: (p) => hover({ at: p }), out: () => light(), pin: (p) => pin({ at: p, from: null }) },
      cell: (r, c) => {
        const [i, j] = [r - high.before, c - wide.before];
        const inside = i >= 0 && j >= 0 && i < H && j < W;
        const text = touched[r][c] ? short(sum[r][c]) : "";
        return { text, classes: `${inside ? "" : "cut"} ${last[r][c] ? "part" : ""}`, place: inside ? [channel, i, j] : null, name: inside ? `y[${i},${j}] so far ${text || "nothing"}` : `cut, ${text || "nothing"}` };
      } });
  }

  function zeroFigure(first, step) {
    const seen = A.paddedZeros(op, first);
    const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
    const lead = [high.e - 1 - high.before, wide.e - 1 - wide.before];
    const W = op.shape[2], [r0, c0] = [Math.floor(step / W), step % W];
    return grid({
      id: `z${first}`, title: "input with zeros between and around", note: by([seen.length, seen[0].length]), rows: seen.length, columns: seen[0].length, head: false, label: "input with zeros inserted",
      act: { over: (p) => hover({ from: p }), out: () => light(), pin: (p) => pin({ from: p, at: null }) },
      cell: (r, c) => {
        const [n, m] = [(r - lead[0]) / high.s, (c - lead[1]) / wide.s];
        const real = Number.isInteger(n) && Number.isInteger(m) && n >= 0 && m >= 0 && n < state.input[1] && m < state.input[2];
        const part = r >= r0 && c >= c0 && (r - r0) % high.d === 0 && (c - c0) % wide.d === 0 && r <= r0 + high.e - 1 && c <= c0 + wide.e - 1;
        return { text: short(seen[r][c]), classes: `${real ? "" : "pad"} ${part ? "part" : ""}`, place: real ? [first, n, m] : null, name: real ? `x[${n},${m}] is ${short(seen[r][c])}` : "inserted zero" };
      } });
  }

  function weightFigure(s, channel, name, first, step) {
    const [kh, kw] = layer.kernel;
    const share = op.shape[0] / layer.groups;
    const place = (i, j) => (layer.kind === "conv" ? [channel, s - first, i, j] : [s, channel % share, i, j]);
    const flipped = name === "zero_insertion";
    const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
    const [a, b] = name === "subpixel" ? [Math.floor(step / wide.s), step % wide.s] : [-1, -1];
    const at = (r, c) => (flipped ? [kh - 1 - r, kw - 1 - c] : [r, c]);
    const several = op.channels > 1 || op.shape[0] > 1;
    return grid({
      id: `w${s}`, title: `weights w${several ? `[${place(0, 0).slice(0, 2)}]` : ""}`, note: flipped ? `${by([kh, kw])}, flipped` : by([kh, kw]), rows: kh, columns: kw, head: !flipped, label: `weights${several ? ` from channel ${s}` : ""}`,
      act: { over: (p) => hoverWeight(p), out: () => light(), pin: (p, node) => editCell(node, op.weight[p[0]][p[1]][p[2]][p[3]], (v) => writeWeight(p, v)),
        edit: (p, node) => editCell(node, op.weight[p[0]][p[1]][p[2]][p[3]], (v) => writeWeight(p, v)) },
      cell: (r, c) => {
        const [i, j] = at(r, c);
        const value = op.weight[place(i, j)[0]][place(i, j)[1]][i][j];
        const part = a >= 0 && (high.d * i) % high.s === a && (wide.d * j) % wide.s === b;
        return { text: short(value), place: place(i, j), classes: part ? "part" : "", name: `w[${(several ? place(i, j) : [i, j]).join(",")}] is ${short(value)}` };
      } });
  }

  function toolsFigure(outs, channel) {
    const random = () => `random:${Math.floor(Math.random() * 1e6)}`;
    const tools = [el("div", { class: "tools", role: "group", "aria-label": "Values of the input" }, el("span", { class: "note" }, "input"),
      button("ones", () => change({ x: "ones" })), button("1, 2, 3 …", () => change({ x: "arange" })), button("random", () => change({ x: random() })), fileNode())];
    if (layer.kind === "conv" || layer.kind === "deconv")
      tools.push(el("div", { class: "tools", role: "group", "aria-label": "Values of the weights" }, el("span", { class: "note" }, "weights"),
        button("ones", () => change({ w: "ones" })), button("1, 2, 3 …", () => change({ w: "arange" }), {}), button("random", () => change({ w: random() }), {})));
    if (outs > 1) {
      const field = el("input", { type: "number", min: 0, max: outs - 1, value: channel, "aria-label": "output channel that is shown" });
      field.addEventListener("change", () => change({ channel: intOf(field.value, 0, outs - 1, 0), at: null }));
      tools.push(el("label", { class: "check" }, "output channel", field));
    }
    const pinned = state.from;
    if (pinned) {
      const field = el("input", { type: "number", step: "any", value: op.x[pinned[0]][pinned[1]][pinned[2]], "aria-label": `value of x[${said(pinned)}]` });
      field.addEventListener("change", () => { const number = Number(field.value); if (Number.isFinite(number) && Math.abs(number) <= 1e9) writeInput(pinned, number); });
      tools.push(el("label", { class: "check edit" }, `x[${said(pinned)}] =`, field));
    }
    tools.push(el("p", { class: "note" }, "Point at an output or an input; a click pins it, Escape lets go. Double-click a number (or press e) to change it. Drop a picture anywhere."));
    return el("div", { id: "tools" }, ...tools);
  }

  function fileNode() {
    const field = el("input", { type: "file", accept: "image/*" });
    field.addEventListener("change", () => field.files[0] && picture(field.files[0]));
    return el("label", { class: "file" }, "picture …", field);
  }

  /** The input's values from a picture: grey, or one channel for each colour where there are three. */
  async function picture(file) {
    if (!file.type.startsWith("image/") || !op) return;
    let image;
    try { image = await createImageBitmap(file); } catch { $("sum").textContent = "This file is no picture that the browser can read."; return; }
    let [channels, h, w] = state.input;
    if (h * w < 64 && layer.kind !== "pixel_unshuffle") [h, w] = [12, 12];
    const canvas = el("canvas", { width: w, height: h });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, w, h);
    const data = context.getImageData(0, 0, w, h).data;
    const value = (c, n) => (channels === 3 ? data[4 * n + c] : Math.round(.299 * data[4 * n] + .587 * data[4 * n + 1] + .114 * data[4 * n + 2]));
    const maps = [...Array(channels).keys()].map((c) => [...Array(h).keys()].map((r) => [...Array(w).keys()].map((k) => value(c, r * w + k))));
    state.x = maps;
    change({ input: [channels, h, w], x: maps, at: null, from: null });
  }

  // Point and see ------------------------------------------------------------------------------------------------------

  let pointed = null;
  function hover(what) { pointed = what; paint(what); }
  function light() { pointed = null; paint(state.at ? { at: state.at } : state.from ? { from: state.from } : stepFocus()); }
  function pin(what) {
    const same = (what.at && state.at && what.at.join() === state.at.join()) || (what.from && state.from && what.from.join() === state.from.join());
    change(same ? { at: null, from: null } : what);
  }

  /** What a step points at by itself. */
  function stepFocus() {
    if (!op || !stepped()) return null;
    const step = stepNow(), w = state.input[2], W = op.shape[2];
    if (view() === "scatter" || view() === "gradient") return { from: [A.inputsOf(op, state.channel)[0], Math.floor(step / w), step % w], quiet: true };
    if (view() === "subpixel") return { phase: step };
    return { at: [state.channel, Math.floor(step / W), step % W] };
  }

  const cellAt = (map, place) => document.querySelector(`#${map} td[data-at="${place.join(",")}"]`);
  function paint(what) {
    for (const node of document.querySelectorAll("#maps td.from, #maps td.to, #maps td.pinned")) node.classList.remove("from", "to", "pinned");
    const sum = $("sum");
    if (!what) {
      sum.textContent = hint();
      return;
    }
    const inputMap = (s) => (view() === "zero_insertion" ? `z${s}` : `x${s}`);
    if (what.at) {
      const [c, r, k] = what.at;
      if (c >= op.shape[0] || r >= op.shape[1] || k >= op.shape[2]) return;
      cellAt("y", what.at)?.classList.add("to");
      if (state.at && what.at.join() === state.at.join()) cellAt("y", what.at)?.classList.add("pinned");
      const found = A.entry(op, c, r, k);
      for (const term of found.terms) {
        if (found.rule === "max" && !term.weight) { cellAt(inputMap(term.source[0]), term.source)?.classList.add("part2"); }
        cellAt(inputMap(term.source[0]), term.source)?.classList.add("from");
        if (term.tap) cellAt(`w${term.source[0]}`, term.tap)?.classList.add("from");
      }
      sum.textContent = `${A.equation(op, c, r, k)}${extra(r, k)}`;
    } else if (what.from) {
      const [s, n, m] = what.from;
      cellAt(inputMap(s), what.from)?.classList.add("from");
      if (state.from && what.from.join() === state.from.join()) cellAt(inputMap(s), what.from)?.classList.add("pinned");
      const places = A.goesTo(op, s, n, m);
      for (const place of places) if (place[0] === state.channel) cellAt("y", place)?.classList.add("to");
      const here = places.filter((place) => place[0] === state.channel);
      const terms = here.slice(0, 30).map((place) => {
        const term = A.entry(op, ...place).terms.filter((t) => t.source.join() === what.from.join());
        return `y[${said(place)}]${term.length && layer.kind !== "pool" && !layer.kind.startsWith("pixel") ? ` += ${term.map((t) => `${A.factored(t.value)}·${A.factored(t.weight, !t.tap)}`).join(" + ")}` : ""}`;
      });
      sum.textContent = places.length ? `x[${said(what.from)}] = ${A.written(op.x[s][n][m])} goes into ${places.length === 1 ? "1 output" : `${places.length} outputs`}: ${terms.join(", ")}${here.length > 30 ? ", …" : ""}` :
        `x[${said(what.from)}] goes into no output: it is unread.`;
    } else if (what.phase !== undefined) {
      const [high, wide] = [A.axisOf(layer, 0), A.axisOf(layer, 1)];
      const [a, b] = [Math.floor(what.phase / wide.s), what.phase % wide.s];
      const [above, beside] = [A.phases(high)[a], A.phases(wide)[b]];
      const kernel = above.taps.length && beside.taps.length ? `a small convolution of ${by([above.taps.length, beside.taps.length])}: rows ${above.taps.join(", ")} and columns ${beside.taps.join(", ")} of the kernel` : "no tap at all, so it stays 0";
      sum.textContent = `Phase (${a},${b}) of ${high.s * wide.s}, counted before the padding cuts: ${kernel}. The phases are interleaved.`;
    }
  }
  const extra = (r, k) => {
    if (layer.kind === "conv" || layer.kind === "pool") {
      const taps = layer.kernel[0] * layer.kernel[1], got = op.reads[0][r].length * op.reads[1][k].length;
      if (got < taps && (layer.padding_mode || "zeros") === "zeros") return `   (${taps - got} of ${taps} taps see padding)`;
    }
    return "";
  };
  const hint = () => ({
    overlap: overlapWords(), unread: unreadWords(),
  }[view()] || "Point at an output to see what goes into it, or at an input to see where it goes.");
  function hoverWeight([a, b, i, j]) {
    for (const node of document.querySelectorAll("#maps td.from, #maps td.to, #maps td.pinned")) node.classList.remove("from", "to", "pinned");
    let count = 0;
    const own = [a, b, i, j].join();
    for (let r = 0; r < op.shape[1]; r++) for (let c = 0; c < op.shape[2]; c++) {
      const rows = op.reads[0][r].filter(([, tap]) => tap === i), columns = op.reads[1][c].filter(([, tap]) => tap === j);
      if (rows.length && columns.length) { count++; cellAt("y", [state.channel, r, c])?.classList.add("to"); }
    }
    for (const table of document.querySelectorAll("#maps table")) if (table.id.startsWith("w")) table.querySelector(`td[data-at="${own}"]`)?.classList.add("from");
    $("sum").textContent = `w[${(op.channels === 1 && op.shape[0] === 1 ? [i, j] : [a, b, i, j]).join(",")}] = ${A.written(op.weight[a][b][i][j])} is used in ${count} of ${op.shape[1] * op.shape[2]} outputs of this channel.`;
  }

  // Panels -------------------------------------------------------------------------------------------------------------

  const panel = (title, ...children) => el("section", { class: "panel" }, el("h2", { tabindex: "-1" }, title), ...children);
  const paragraph = (text, attributes = {}) => el("p", attributes, text);

  function lawWords(one, i) {
    const axis = A.axisOf({ ...one, to: null }, i);
    if (!axis.law) return "A float factor follows no law that holds for all sizes: torch rounds the product first. A fraction such as 3/2 does.";
    const { rise, offset, run } = axis.law, least = A.axisLeast(axis);
    const line = `${rise === 1 ? "n" : `${rise}·n`}${offset ? ` ${offset < 0 ? "−" : "+"} ${Math.abs(offset)}` : ""}`;
    const made = run === 1 ? line : `⌊${line === "n" ? line : `(${line})`}/${run}⌋`;
    const twice = rise === 2 && run === 1 && offset === 0 ? ": exactly twice the size, always" : "";
    return `For every size n from ${least} on, the output is ${made}${twice}.`;
  }

  function proofPanel() {
    const lines = [];
    const same = JSON.stringify(A.axisOf(layer, 0)) === JSON.stringify(A.axisOf(layer, 1));
    if (layer.kind !== "resize" || !layer.to) for (const i of same ? [0] : [0, 1]) lines.push(`${same ? "" : `${A.AXES[i]}: `}${lawWords(layer, i)}`);
    const back = [];
    const tell = (title, down, up) => {
      try {
        for (const i of same ? [0] : [0, 1]) {
          const proof = A.prove([[down]], [[up]], i);
          back.push(paragraph(`${title}${same ? "" : ` (${A.AXES[i]})`}: ${A.proofWords(proof, "it gives back the size")} ${proof.failure}`));
          if (!proof.always && up.kind === "deconv") {
            const asked = A.prove([[down]], [[up]], i, { matched: true });
            back.push(paragraph(`With output_size asked for: ${A.proofWords(asked, "it gives back the size")}`));
          }
          const n = state.input[i + 1];
          if (up.kind === "deconv" && down.kind !== "deconv") {
            const low = A.axisOut(A.axisOf(down, i), n), again = A.axisOut(A.axisOf(up, i), low);
            if (low >= 1) back.push(paragraph(again === n ? `${n} is restored: ${n} → ${low} → ${again}.` : `${n} is not restored: ${n} → ${low} → ${again}. The division by the stride dropped a remainder; ${sizesTo(A.axisOf(down, i), low)} all become ${low}.`));
          }
        }
      } catch (error) { if (!(error instanceof A.Refusal)) throw error; }
    };
    if (layer.kind === "conv" || (layer.kind === "pool" && !layer.ceil)) tell(`Then ${A.wordsFor(A.inverse(layer))}`, layer, A.inverse(layer));
    if (layer.kind === "deconv") {
      const conv = A.filled("conv", { kernel: layer.kernel, stride: layer.stride, padding: layer.padding, dilation: layer.dilation });
      tell(`After ${A.wordsFor(conv)}`, conv, { ...layer, to: null });
    }
    return panel("For all sizes", ...lines.map((line) => paragraph(line)), ...back,
      paragraph("Every size rule is the floor of a line, so one period of sizes decides all of them.", { class: "note" }));
  }
  function sizesTo(axis, low) {
    const sizes = [];
    for (let n = 1; sizes.length < 12 && n < MOST_SIZE; n++) {
      const made = A.axisOut(axis, n);
      if (made === low) sizes.push(n);
      if (made > low) break;
    }
    return sizes.join(", ");
  }

  function overlapWords() {
    const counts = [0, 1].map((i) => {
      const axis = A.axisOf(layer, i);
      return layer.kind === "deconv" ? A.phases(axis).map((phase) => phase.taps.length) : [1];
    });
    if (layer.kind !== "deconv") return `Each number says how many inputs${state.input[0] > 1 && layer.kind === "conv" ? " of each channel" : ""} go into that output.`;
    const found = [...new Set(counts[0].flatMap((r) => counts[1].map((c) => r * c)))].sort((a, b) => a - b);
    if (found.length === 1) return `Away from the border every output gets ${found[0]} contribution${found[0] === 1 ? "" : "s"}: the stride divides the kernel evenly, no checkerboard.`;
    return `Away from the border outputs get ${found.join(", ")} contributions in turn: a checkerboard.`;
  }
  function overlapPanel() {
    if (layer.kind !== "deconv" || !op) return null;
    const even = [0, 1].map((i) => Math.ceil(layer.kernel[i] / layer.stride[i]) * layer.stride[i]);
    const uneven = overlapWords().includes("checkerboard.") && !overlapWords().includes("no checkerboard");
    const ways = [];
    if (uneven) {
      const size = op.shape.slice(1);
      const padding = layer.padding.map((side, i) => { const more = even[i] - layer.kernel[i]; return more % 2 === 0 ? side.map((p) => p + more / 2) : [side[0] + Math.floor(more / 2), side[1] + Math.floor(more / 2)]; });
      for (const one of [{ ...layer, kernel: even, dilation: [1, 1], padding, output_padding: [0, 0], to: null }, { ...layer, kernel: even, dilation: [1, 1], output_padding: [0, 0], to: null }]) {
        try { const made = A.outSize(one, state.input.slice(1)); ways.push({ say: `${A.wordsFor(one)}, which gives ${by(made)}`, layer: A.wordsFor(one) }); } catch { /* another one */ }
      }
      const enlarged = `resize x${[...new Set(layer.stride)].join("x")}, conv k3 p1`;
      ways.push({ say: `${enlarged}, which gives ${by(A.ladder(A.parse(enlarged), state.input.slice(1)).at(-1).out)}`, layer: enlarged });
    }
    const counts = A.overlap(op), most = Math.max(1, ...counts.flat());
    const canvas = el("canvas", { width: counts[0].length, height: counts.length, role: "img", "aria-label": overlapWords(), style: "width:min(100%,220px);image-rendering:pixelated;border:1px solid var(--line)" });
    const context = canvas.getContext("2d");
    counts.forEach((row, r) => row.forEach((n, c) => { const grey = Math.round(255 * n / most); context.fillStyle = `rgb(${grey},${grey},${grey})`; context.fillRect(c, r, 1, 1); }));
    return panel("Checkerboard", paragraph(overlapWords()), canvas, paragraph("What equal inputs and equal weights draw: the brighter, the more stamps meet.", { class: "note" }),
      uneven ? paragraph("Even overlap removes it:") : null, waysOf(ways.filter((way, at) => ways.findIndex((one) => one.layer === way.layer) === at)));
  }

  const listed = (numbers) => (numbers.length > 12 ? `${numbers.slice(0, 12).join(", ")}, …` : numbers.join(", "));
  function unreadWords() {
    const [rows, columns] = A.unread(op);
    const [, h, w] = state.input;
    const count = h * w - (h - rows.length) * (w - columns.length);
    const empty = [0, 1].map((i) => op.reads[i].flatMap((pairs, out) => (pairs.length ? [] : [out])));
    const bare = empty[0].length || empty[1].length ? ` No input reaches output ${[["row", empty[0]], ["column", empty[1]]].filter(([, one]) => one.length).map(([name, one]) => `${name} ${listed(one)}`).join(" and ")}: ${state.bias ? "the bias alone" : layer.pool === "max" ? "−∞" : "0, or the bias alone"}.` : "";
    if (!count) return `Every input is read.${bare}`;
    const parts = [["row", rows], ["column", columns]].filter(([, one]) => one.length).map(([name, one]) => `${name}${one.length > 1 ? "s" : ""} ${listed(one)}`);
    return `No output reads ${parts.join(" and ")}: ${count} of ${h * w} pixels.${bare}`;
  }
  function unreadPanel() {
    if (!op) return null;
    const ways = [];
    const [rows, columns] = A.unread(op);
    if ((rows.length || columns.length) && (layer.kind === "conv" || layer.kind === "pool")) {
      for (const [say, one, input] of [["one more of padding", layer.padding === "same" ? null : { ...layer, padding: layer.padding.map(([a, b]) => [a + 1, b + 1]) }, state.input.slice(1)],
        ["padding at the end alone", layer.padding === "same" || layer.kind === "pool" ? null : { ...layer, padding: layer.padding.map(([a, b], i) => [a, b + ([rows, columns][i].length ? layer.stride[i] - 1 : 0)]) }, state.input.slice(1)],
        ["an input of one more", layer, state.input.slice(1).map((n) => n + 1)]]) {
        if (!one) continue;
        try {
          A.checked(one);
          const made = A.outSize(one, input);
          const left = [0, 1].map((i) => { const read = new Set(); const axis = A.axisOf(one, i); for (let o = 0; o < made[i]; o++) for (let t = 0; t < axis.k; t++) read.add(o * axis.s - axis.before + axis.d * t); return [...Array(input[i]).keys()].filter((n) => !read.has(n)).length; });
          if (left[0] + left[1] < rows.length + columns.length) ways.push({ say: `${say}: ${A.wordsFor(one)}${one === layer ? ` on ${by(input)}` : ""}, which gives ${by(made)}`, layer: A.wordsFor(one), input: one === layer ? input : undefined });
        } catch { /* not this one */ }
      }
    }
    return panel("Unread pixels", paragraph(unreadWords()), waysOf(ways));
  }

  let wanted = null;
  function reachPanel() {
    const size = state.input.slice(1);
    const made = A.outSize(layer, size);
    const start = wanted || made;
    const fields = ["height", "width"].map((name, i) => el("input", { type: "number", min: 1, max: MOST_SIZE, value: start[i], "aria-label": `wanted output ${name}` }));
    const found = el("div", {});
    const seek = () => {
      wanted = fields.map((field) => intOf(field.value, 1, MOST_SIZE, 1));
      const ways = waysTo(wanted);
      const gives = made.join() === wanted.join();
      found.replaceChildren(gives ? paragraph("This layer does.") : "", ways.length ? waysOf(ways) : gives ? "" : paragraph("No change near this layer gives it."));
    };
    const syncing = (i) => { if (fields[0].dataset.own === undefined && i === 0) fields[1].value = fields[0].value; if (i === 1) fields[0].dataset.own = "1"; seek(); };
    fields.forEach((field, i) => field.addEventListener("input", () => syncing(i)));
    seek();
    return panel("I want the output to be", el("div", { class: "check" }, ...fields, "what gives it:"), found);
  }

  /** Layers near this one, and inputs, that give an output of the wanted size. */
  function waysTo(target) {
    const size = state.input.slice(1), ways = [], base = { ...layer };
    const offer = (one, input = null) => {
      try {
        A.checked(one);
        const made = A.outSize(one, input || size);
        const say = A.wordsFor(one);
        if (made.join() === target.join() && !(say === A.wordsFor(layer) && !input) && !ways.some((way) => way.layer === say && !!way.input === !!input))
          ways.push({ say: `${say}${input ? ` on ${by(input)}` : ""}, which gives ${by(made)}`, layer: say, input: input || undefined });
      } catch (error) { if (!(error instanceof A.Refusal)) throw error; }
    };
    if ((layer.kind === "deconv" || layer.kind === "resize") && A.outSize(layer, size).join() !== target.join()) offer({ ...base, to: target, ...(layer.kind === "resize" ? { factor: null } : { output_padding: [0, 0] }) });
    if (layer.kernel && layer.kind !== "carafe") {
      const tries = [];
      for (let s = 1; s <= 8; s++) for (let k = 1; k <= 12; k++) for (let p = 0; p <= 5; p++) {
        const pads = layer.padding === "same" ? [[p, p], [p, p]] : layer.padding.map(() => [p, p]);
        tries.push([Math.abs(s - layer.stride[0]) * 3 + Math.abs(k - layer.kernel[0]) + Math.abs(p - (layer.padding === "same" ? 0 : layer.padding[0][0])), { ...base, kernel: [k, k], stride: [s, s], padding: pads, to: null, ...(layer.kind === "deconv" ? { output_padding: [0, 0] } : {}) }]);
      }
      tries.sort((a, b) => a[0] - b[0]);
      for (const [, one] of tries) { if (ways.length >= 4) break; offer(one); }
    }
    if (layer.factor && !layer.to) {
      const common = (a, b) => (b ? common(b, a % b) : a);
      offer({ ...base, factor: [0, 1].map((i) => ({ num: target[i] / common(target[i], size[i]), den: size[i] / common(target[i], size[i]) })) });
    }
    const inputs = [0, 1].map((i) => {
      const axis = A.axisOf({ ...layer, to: null }, i);
      if (!axis.law) return null;
      const n = Math.ceil((axis.law.run * target[i] - axis.law.offset) / axis.law.rise);
      return n >= 1 && n <= MOST_SIZE && A.axisOut(axis, n) === target[i] ? n : null;
    });
    if (!inputs.includes(null) && inputs.join() !== size.join()) offer({ ...base, to: null }, inputs);
    return ways.slice(0, 6);
  }

  let language = "PyTorch";
  function codePanel() {
    if (!op || typeof Code === "undefined") return null;
    const code = el("pre", { tabindex: "0", "aria-label": "code" });
    const note = el("div", { class: "note" });
    const write = () => {
      const found = Code.of(language, op, state);
      code.textContent = found.code;
      note.replaceChildren(...found.notes.map((line) => paragraph(line)));
      for (const one of group.children) one.setAttribute("aria-pressed", String(one.textContent === language));
    };
    const group = el("div", { class: "ways", role: "group", "aria-label": "Framework" }, ...Code.LANGUAGES.map((name) => button(name, () => { language = name; write(); })));
    const copy = button("Copy the code", async () => { copy.textContent = (await copied(code.textContent)) ? "Copied" : "Select and copy by hand"; setTimeout(() => { copy.textContent = "Copy the code"; }, 1500); }, { class: "noprint" });
    write();
    return panel("Code", group, note, code, copy);
  }

  // A chain ------------------------------------------------------------------------------------------------------------

  function showChain() {
    const box = $("chain");
    box.replaceChildren();
    let layers, rungs;
    const size = state.input.slice(1);
    try {
      layers = A.parse(state.words);
      rungs = A.ladder(layers, size, state.matched);
    } catch (error) {
      if (!(error instanceof A.Refusal)) throw error;
      const place = Number((/^layer (\d+)/.exec(error.message) || [])[1]) - 1;
      const parts = A.layersOf(state.words);
      const ways = error.ways.flatMap((way) => (way.layer && !way.input && place >= 0 ? [{ say: way.say, layer: parts.map((part, at) => (at === place ? way.layer : part)).join(", ") }] : []));
      showRefusal(new A.Refusal(error.message, ways));
      return;
    }
    const alike = layers.every((one) => JSON.stringify(A.axisOf(one, 0)) === JSON.stringify(A.axisOf(one, 1)));
    const axes = alike ? [0] : [0, 1], square = alike && size[0] === size[1];
    const shown = (pair) => (square ? `${pair[0]}` : by(pair));
    const body = el("tbody", {});
    rungs.forEach((rung, at) => {
      let fields = [];
      try { fields = axes.map((i) => A.receptive(layers.slice(0, at + 1), i)); } catch { /* too many to follow */ }
      const cell = (one) => el("td", {}, [...new Set(fields.map(one))].join("×"));
      const fit = rung.out.join() !== rung.target.join();
      const moves = [0, 1].map((i) => rung.target[i] - rung.out[i]);
      const words = fit ? `${moves.map((m, i) => (m === 0 ? null : `${m < 0 ? "cuts" : "repeats"} ${Math.abs(m)}${square ? "" : ` ${A.AXES[i]}`}`)).filter(Boolean).slice(0, square ? 1 : 2).join(", ")} to fit ${shown(rung.target)}` : "";
      body.append(el("tr", { class: fit ? "fit" : "" }, el("td", {}, `${rung.way} ${rung.stage}`), el("td", { class: "left" }, rung.layer), el("td", {}, shown(rung.size)), el("td", {}, shown(rung.out)), el("td", { class: "left" }, words),
        cell((field) => field.size), cell((field) => fraction(field.stride)), cell((field) => fraction(field.centre))));
    });
    const check = el("input", { type: "checkbox", id: "matched" });
    check.checked = state.matched;
    check.addEventListener("change", () => change({ matched: check.checked }));
    const reached = (rung) => (rung.out.join() === rung.target.join() ? shown(rung.out) : `${shown(rung.out)} (corrected to ${shown(rung.target)})`);
    box.append(el("p", {}, el("b", {}, `${shown(size)} → ${rungs.map(reached).join(" → ")}`)),
      el("label", { class: "check" }, check, "give each transposed convolution the size to reach (output_size)"),
      el("p", { class: "note", id: "chainsaid" }, "Sizes, layer by layer; the field, the total stride and the first output's centre are in input pixels."),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sizes, layer by layer" }, el("table", { class: "plain", "aria-describedby": "chainsaid" },
        el("thead", {}, el("tr", {}, ...["", "layer", "in", "out", "corrected", "field", "stride", "centre"].map((name) => el("th", { scope: "col", class: name === "layer" || name === "corrected" ? "left" : "" }, name || "way")))), body)));
    const { down, up } = A.downUp(layers);
    const proofs = [];
    const tell = (title, how, to = up) => {
      try {
        for (const i of axes) {
          const proof = A.prove(down, to, i, how);
          proofs.push(el("p", {}, el("b", {}, `${proof.always ? "✓" : proof.never ? "✗" : "~"} ${title}${alike ? "" : ` (${A.AXES[i]})`}. `), A.proofWords(proof, how.endsOnly ? "The way up ends at the input's size" : undefined), " ", proof.failure));
        }
      } catch (error) { if (!(error instanceof A.Refusal)) throw error; proofs.push(paragraph(`${title}: no verdict, ${error.message}`)); }
    };
    if (down.length && up.length) {
      tell("As written", {});
      tell("The ends alone", { endsOnly: true });
      if (up.flat().some((one) => one.kind === "deconv")) tell("Each given the size to reach", { matched: true });
    } else if (down.length && down.flat().every((one) => one.kind === "conv" || one.kind === "pool")) {
      const inverses = [...down].reverse().map((stage) => [...stage].reverse().map(A.inverse));
      tell(`With the inverse layers (${inverses.flat().map(A.wordsFor).join(", ")})`, {}, inverses);
      tell("With them, each given the size to reach", { matched: true }, inverses);
    }
    if (proofs.length) $("panels").append(panel("For all sizes", ...proofs, paragraph("Every layer is the floor of a line: one period of sizes decides all of them.", { class: "note" })));
  }
  const fraction = (value) => A.written(value, true);

  // Steps and play -----------------------------------------------------------------------------------------------------

  let timer = null;
  function stop() { if (timer) clearInterval(timer); timer = null; $("play").textContent = "▶"; $("play").setAttribute("aria-label", "Play the steps"); }
  function play() {
    if (timer) { stop(); return; }
    if (stepNow() >= stepsOf() - 1) change({ step: 0 }, false);
    $("play").textContent = "❚❚";
    $("play").setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      if (!op || !stepped() || stepNow() >= stepsOf() - 1) { stop(); return; }
      change({ step: stepNow() + 1, at: null, from: null }, false);
    }, Math.max(120, Math.min(900, 20000 / stepsOf())));
  }
  const go = (by) => { stop(); change({ step: clamp(stepNow() + by, 0, stepsOf() - 1), at: null, from: null }, false); };

  // Start --------------------------------------------------------------------------------------------------------------

  const EXAMPLES = [
    ["What does padding do in a transposed convolution?", "l=deconv k4 s2 p1&i=1x4x4&v=scatter"],
    ["Why is y[0,1] 12?", "l=deconv k4 s2 p1&i=1x4x4&at=0,1"],
    ["How do I get exactly twice the size?", "l=deconv k4 s2 p1&i=1x5x5"],
    ["What is output_padding?", "l=deconv k3 s2 p1 op1&i=1x3x3&at=5,5&v=scatter"],
    ["Why a checkerboard?", "l=deconv k3 s2&i=1x5x5&v=overlap"],
    ["Which pixels does my stride drop?", "l=conv k3 s2&i=1x8x8&v=unread&x=arange"],
    ["What do groups do?", "l=conv k3 p1 g2&i=4x5x5&o=2&at=2,2"],
    ["Why is my output one pixel smaller?", "l=conv k3 s2 p1, deconv k3 s2 p1&i=1x12x12"],
    ["align_corners or not?", "l=resize x2 bilinear align_corners&i=1x4x4&x=arange&at=1,1"],
  ];
  function start() {
    for (const [name, words] of Object.entries(KIND_NAMES)) $("kind").append(el("option", { value: name }, words));
    $("kind").addEventListener("change", () => { const words = KIND_WORDS[$("kind").value]; change({ words, input: [defaultChannels(words), ...state.input.slice(1).map((n) => Math.min(n, MOST))], out: 0, at: null, from: null, view: "", channel: 0 }); });
    $("example").append(el("option", { value: "" }, "choose one …"), ...EXAMPLES.map(([name], at) => el("option", { value: at }, name)));
    $("example").addEventListener("change", () => { if ($("example").value !== "") { const text = `#v1:${EXAMPLES[Number($("example").value)][1]}`; change(stateFrom(text)); } });
    $("words").maxLength = MOST_TEXT;
    $("words").addEventListener("input", () => {
      const words = $("words").value, channels = defaultChannels(words);
      change({ words, at: null, from: null, ...(state.input[0] % channels ? { input: [channels, ...state.input.slice(1)] } : {}) }, false);
    });
    $("words").addEventListener("change", () => change($("words").value === state.words ? {} : { words: $("words").value, at: null, from: null }));
    $("back").addEventListener("click", () => history.back());
    $("link").addEventListener("click", async () => {
      const done = await copied(location.href.split("#")[0] + hash());
      $("link").textContent = done ? "Copied" : "It is in the address bar";
      setTimeout(() => { $("link").textContent = "Copy the link"; }, 1500);
    });
    $("play").addEventListener("click", play);
    $("previous").addEventListener("click", () => go(-1));
    $("next").addEventListener("click", () => go(1));
    $("step").addEventListener("input", () => { stop(); change({ step: Number($("step").value), at: null, from: null }, false); });
    $("views").addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const names = viewsOf(), next = names[(names.indexOf(view()) + move + names.length) % names.length];
      change({ view: next === "result" ? "" : next, step: -1 });
      $(`tab-${next}`).focus();
    });
    document.addEventListener("dragover", (event) => { event.preventDefault(); $("maps").classList.add("drop"); });
    document.addEventListener("dragleave", () => $("maps").classList.remove("drop"));
    document.addEventListener("drop", (event) => { event.preventDefault(); $("maps").classList.remove("drop"); const file = event.dataTransfer.files[0]; if (file) picture(file); });
    const reload = () => { stop(); const next = location.hash.startsWith("#v1:") ? location.hash : begun; state = stateFrom(next); wanted = null; show(); };
    window.addEventListener("popstate", reload);
    window.addEventListener("hashchange", () => { if (location.hash !== hash()) reload(); });
    let width = document.documentElement.clientWidth;
    window.addEventListener("resize", () => { if (document.documentElement.clientWidth !== width) { width = document.documentElement.clientWidth; show(); } });
    const begun = JSON.parse($("start").textContent) || "#v1:";
    state = stateFrom(location.hash.startsWith("#v1:") ? location.hash : begun);
    try { if (!location.hash.startsWith("#v1:")) history.replaceState(null, "", hash()); } catch { /* within a page */ }
    show();
  }

  /** Documented for programs: `run({layer, input, weight, bias})`, `state()` and `open("#v1:…")`. */
  window.segup = { run: A.run, state: () => structuredClone(state), link: hash, open: (text) => change(stateFrom(text)),
    code: (name) => Code.of(name, op, state).code };
  start();
})();
