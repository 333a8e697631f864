/* The page of a whole model: its sizes at an image's, what is cut, and what one output sees of the image. */
(() => {
  "use strict";
  const { el, button, copied } = Parts;
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("start").textContent);
  const IMAGE = -1, SAME = -1, MOST = 65536, FIRST = 28;
  const NAMES = ["row", "column"];
  const FUNCTIONS = { conv2d: "convolution", conv_transpose2d: "transposed convolution", cat: "joins channels", "cat rows": "puts rows side by side",
    getitem: "slice", narrow: "slice", add: "adds", add_: "adds", iadd: "adds", radd: "adds", interpolate: "resize" };
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Sizes --------------------------------------------------------------------------------------------------------------

  /** A law at an image's size, on one axis. */
  function lawAt(place, size, axis) {
    const law = data.laws[place];
    if (!Array.isArray(law)) return law.at[data.axes[axis].sizes.indexOf(size)];
    const period = law.length - 1;
    return law[1 + (size % period)] + law[0] * Math.floor(size / period);
  }

  /** The way that a size takes; where only some sizes are known, of the nearest of them. */
  function wayOf(size, axis) {
    const { sizes, start, period, ways } = data.axes[axis];
    if (sizes.length) return ways[Math.max(0, sizes.indexOf(size))];
    return ways[size < start ? size - 1 : start - 1 + ((size - start) % period)];
  }
  const known = (size, axis) => {
    const { sizes } = data.axes[axis];
    if (!sizes.length) return clamp(size, 1, MOST);
    return sizes.reduce((best, one) => (Math.abs(one - size) < Math.abs(best - size) ? one : best), sizes[0]);
  };

  /** What a row does on one axis: [law, inputs], or null where this size does not come by. */
  const useOf = (row, way, axis) => { const own = data.axes[axis], which = own.which[row]; return own.use[row][which === 0 ? 0 : which[way]]; };

  /** Of one axis at an image's size: the size of each row, and its inputs. */
  function sided(size, axis) {
    const way = wayOf(size, axis);
    const uses = data.rows.map((_, row) => useOf(row, way, axis));
    const sizes = uses.map((use) => (use === null ? undefined : use[0] === null ? null : lawAt(use[0], size, axis)));
    return { size, axis, way, uses, sizes, refused: data.axes[axis].refused[way], output: data.axes[axis].output[way] };
  }

  /** The size of a row, also of one that only a size of the other axis needs: there nothing changes on this one. */
  function sizeOf(side, row, other) {
    if (row === IMAGE) return side.size;
    if (side.uses[row]) return side.sizes[row];
    const first = other.uses[row]?.[1][0];
    return first ? sizeOf(side, first[0], other) : undefined;
  }

  let sides = null; // of the height and the width that are shown
  /** The sizes that a person asked for; where nothing is proved, the nearest that were run are shown. */
  let asked = [1, 1];
  function unrun(pair) {
    return ["height", "width"].flatMap((name, axis) => {
      const { sizes } = data.axes[axis];
      if (!sizes.length || sizes.includes(pair[axis])) return [];
      return [`${name} ${pair[axis]} was not run: ${known(pair[axis], axis)} is the nearest of ${sizes.length} that were`];
    });
  }
  function computed([height, width]) { return [sided(height, 0), sided(width, 1)]; }
  const both = (pair, row) => [0, 1].map((axis) => sizeOf(pair[axis], row, pair[1 - axis]));
  const present = (pair, row) => {
    const [one, two] = pair, comes = one.uses[row] || two.uses[row];
    const ended = pair.some((side) => side.refused && side.refused[0] !== null && row > side.refused[0]);
    return comes && !ended && !(pair.some((side) => side.refused) && !(one.uses[row] && two.uses[row]));
  };

  // What is read ---------------------------------------------------------------------------------------------------------

  /** The first and the last that rows a … b of a result read of an input of `n` rows; null where they read nothing. */
  function reading(place, a, b, n, made, size, axis) {
    if (place === SAME) return n === 1 ? [0, 0] : [Math.max(0, a), Math.min(b, n - 1)];
    const [form, ...values] = data.reads[place].map((one) => (Array.isArray(one) ? lawAt(one[0], size, axis) : one));
    let low = Infinity, high = -Infinity;
    const see = (one) => { if (one >= 0 && one < n) { low = Math.min(low, one); high = Math.max(high, one); } };
    if (form === "w") {
      const [k, s, before, d, mode] = values;
      if (mode) {
        if (mode === "circular" && (a - before < 0 || b - before >= n)) return [0, n - 1];
        for (const o of [a, b]) {
          const at = o - before;
          see(mode === "replicate" ? clamp(at, 0, n - 1) : at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at);
        }
        if (a - before <= 0 && b - before >= 0) see(0);
        if (a - before <= n - 1 && b - before >= n - 1) see(n - 1);
        return low <= high ? [low, high] : null;
      }
      for (let o = a; o <= b; o++) { for (let j = 0; j < k; j++) see(o * s - before + d * j); if (o * s - before >= 0) break; }
      for (let o = b; o >= a; o--) { for (let j = k - 1; j >= 0; j--) see(o * s - before + d * j); if (o * s - before + d * (k - 1) < n) break; }
    } else if (form === "t") {
      const [k, s, before, d] = values;
      const reaches = (i) => { for (let j = 0; j < k; j++) { const o = i * s - before + d * j; if (o >= a && o <= b) return true; } return false; };
      let first = Math.max(0, Math.ceil((a + before - d * (k - 1)) / s)), last = Math.min(n - 1, Math.floor((b + before) / s));
      while (first <= last && !reaches(first)) first++;
      while (last >= first && !reaches(last)) last--;
      if (first <= last) { see(first); see(last); }
    } else if (form === "s") {
      see(clamp(Math.floor(a / values[0]), 0, n - 1));
      see(clamp(Math.floor(b / values[0]), 0, n - 1));
    } else {
      const last = Math.min(b, a + 256);
      for (let o = a; o <= last; o++) resized(values, o, n, made).forEach((one) => see(clamp(one, 0, n - 1)));
      for (let o = Math.max(a, b - 256); o <= b; o++) resized(values, o, n, made).forEach((one) => see(clamp(one, 0, n - 1)));
    }
    return low <= high ? [low, high] : null;
  }

  /** What one row of a resize reads: the first and the last. */
  function resized([mode, corners, factor, antialias], o, n, made) {
    const scale = corners ? (made > 1 ? (n - 1) / (made - 1) : 0) : factor ? 1 / factor : n / made;
    if (mode === "nearest") return [Math.floor(o * scale)];
    if (mode === "nearest-exact") return [Math.floor((o + .5) * scale)];
    if (mode === "area") return [Math.floor(o * n / made), Math.ceil((o + 1) * n / made) - 1];
    const reach = mode === "bicubic" ? 2 : 1;
    if (antialias) {
      const centre = (o + .5) * scale, wide = reach * Math.max(1, scale);
      return [Math.floor(centre - wide + .5), Math.ceil(centre + wide - .5) - 1];
    }
    const at = corners ? o * scale : mode === "bicubic" ? (o + .5) * scale - .5 : Math.max(0, (o + .5) * scale - .5);
    const first = Math.floor(at);
    return at === first ? [first] : [first - reach + 1, first + reach];
  }

  /** What entry `at` of a row sees on one axis: the first and the last of the image, and the rows that read all. */
  function fieldOf(pair, axis, row, at) {
    const side = pair[axis], other = pair[1 - axis];
    while (row !== IMAGE && !side.uses[row]) row = other.uses[row][1][0][0];
    const wanted = new Map([[row, [at, at]]]), all = new Set();
    for (let place = row; place >= 0; place--) {
      const span = wanted.get(place);
      if (!span) continue;
      for (const [source, read] of side.uses[place][1]) {
        if (read === null) { all.add(place); continue; }
        const n = source === IMAGE ? side.size : side.sizes[source];
        const found = n === null || n === undefined ? [0, 0] : reading(read, span[0], span[1], n, side.sizes[place], side.size, axis);
        if (!found) continue;
        const before = wanted.get(source);
        wanted.set(source, before ? [Math.min(before[0], found[0]), Math.max(before[1], found[1])] : found);
      }
    }
    return { span: wanted.get(IMAGE) || null, all: [...all].reverse() };
  }

  // Words -----------------------------------------------------------------------------------------------------------------

  const by = (pair) => (pair.every((one) => one === null) ? "" : pair.map((one) => one ?? "?").join("×"));
  const amount = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const nameOf = (row) => (row === IMAGE ? "the image" : data.rows[row][0] || `forward (${data.rows[row][1]})`);
  const what = (row) => data.rows[row][2] || FUNCTIONS[data.rows[row][1]] || data.rows[row][1];

  /** What happens to rows and columns at a row, in words. */
  function notesOf(pair, row) {
    const notes = [];
    const size = both(pair, row);
    const inputs = (pair[0].uses[row] || pair[1].uses[row])[1].map(([source]) => source);
    const maps = [...new Set(inputs)].map((source) => [source, both(pair, source)]).filter(([, one]) => one.every((n) => n !== null && n !== undefined));
    const parts = { cuts: [], adds: [], unread: [] };
    pair.forEach((side, axis) => {
      const use = side.uses[row];
      if (!use || !use[1].length) return;
      const [source, read] = use[1][0], n = source === IMAGE ? side.size : side.sizes[source], made = side.sizes[row];
      if (read === null || n === null || made === null || n === undefined || made === undefined) return;
      const entry = read === SAME ? ["w", 1, 1, 0, 1] : data.reads[read];
      if (entry[0] !== "w" || (read === SAME && n === 1)) return;
      const [, k, s, before, d] = entry.map((one) => (Array.isArray(one) ? lawAt(one[0], side.size, axis) : one));
      if (k === 1 && s === 1 && made < n) parts.cuts.push(amount(n - made, NAMES[axis]));
      else if (k === 1 && s === 1 && made > n) parts.adds.push(amount(made - n, NAMES[axis]));
      else if (s > 1 && made > 0) {
        const left = n - 1 - ((made - 1) * s - before + d * (k - 1));
        if (left > 0) parts.unread.push(amount(left, NAMES[axis]));
      }
    });
    if (parts.cuts.length) notes.push(`cuts ${parts.cuts.join(", ")}`);
    if (parts.adds.length) notes.push(`${data.rows[row][1] === "pad" ? "adds" : "repeats"} ${parts.adds.join(", ")}`);
    if (parts.unread.length) notes.push(`leaves ${parts.unread.join(", ")} unread`);
    const real = maps.filter(([, one]) => one.some((n) => n > 1));
    const apart = real.length > 1 && new Set(real.map(([, one]) => by(one))).size > 1;
    if (apart && data.rows[row][1] !== "cat rows") notes.push(`${real.map(([source, one]) => `${by(one)} of ${nameOf(source)}`).join(" meets ")}`);
    return { notes, fit: parts.cuts.length > 0 || parts.adds.length > 0 || apart, moved: maps.length && maps.every(([, one]) => by(one) !== by(size)) };
  }

  // The table: modules, folded ----------------------------------------------------------------------------------------------

  /** Rows that follow one another in the same module, as a tree. */
  function tree() {
    const root = { path: "", children: [], open: true };
    data.rows.forEach((one, row) => {
      let node = root;
      const parts = one[0] ? one[0].split(".") : [];
      parts.forEach((_, at) => {
        const path = parts.slice(0, at + 1).join(".");
        const last = node.children[node.children.length - 1];
        if (last && last.children && last.path === path) node = last;
        else { const made = { path, children: [], open: false, above: node.path }; node.children.push(made); node = made; }
      });
      node.children.push({ row, above: node.path });
    });
    const shortened = (node) => {
      if (!node.children) return node;
      node.children = node.children.map(shortened);
      if (node !== root && node.children.length === 1) {
        const only = node.children[0];
        only.above = node.above;
        return only;
      }
      return node;
    };
    return shortened(root);
  }
  const root = tree();
  const rowsIn = (node) => (node.children ? node.children.flatMap(rowsIn) : [node.row]);
  let mode = "modules";
  function unfold() {
    let shown = root.children.length, level = root.children.filter((one) => one.children);
    while (level.length) {
      const more = level.reduce((sum, one) => sum + one.children.length, 0);
      if (shown + more > FIRST) break;
      level.forEach((one) => { one.open = true; });
      shown += more;
      level = level.flatMap((one) => one.children.filter((child) => child.children));
    }
  }

  const chosen = { row: 0, at: [0, 0] };
  function lineOf(row, depth, name) {
    const { notes, fit, moved } = notesOf(sides, row);
    const refused = sides.some((side) => side.refused && side.refused[0] === row);
    const mark = row === outputRow() ? " (output)" : "";
    return el("tr", { class: refused ? "refused" : fit ? "fit" : "" },
      el("td", { style: `padding-left:${4 + 14 * depth}px` }, button(`${name}${mark}`, () => { chosen.row = row; center(); show(); keep(); }, { "aria-pressed": String(row === chosen.row), "data-row": row })),
      el("td", { class: "left" }, what(row)), el("td", {}, data.rows[row][3] === null ? "" : `${data.rows[row][3]}`),
      el("td", { class: moved ? "moved" : "" }, refused ? "refused" : by(both(sides, row))), el("td", { class: "left" }, notes.join("; ")));
  }
  function lines(node, depth) {
    const here = rowsIn(node).filter((row) => present(sides, row));
    if (!here.length) return [];
    if (!node.children) return [lineOf(node.row, depth, nameIn(node, data.rows[node.row][0]))];
    const last = here[here.length - 1];
    const fits = here.filter((row) => notesOf(sides, row).fit).length;
    const refused = here.some((row) => sides.some((side) => side.refused && side.refused[0] === row));
    const head = el("tr", { class: `group${refused ? " refused" : fits && !node.open ? " fit" : ""}` },
      el("td", { style: `padding-left:${4 + 14 * depth}px` }, button(`${node.open ? "▾" : "▸"} ${nameIn(node, node.path)}`, () => { node.open = !node.open; show(); focusOn(node.path); }, { "aria-expanded": String(node.open), "data-path": node.path })),
      el("td", { class: "left" }, amount(here.length, "call")), el("td", {}, data.rows[last][3] === null ? "" : `${data.rows[last][3]}`), el("td", {}, refused ? "refused" : by(both(sides, last))),
      el("td", { class: "left" }, !node.open && fits ? `${fits} inside where sizes are fitted` : ""));
    return node.open ? [head, ...node.children.flatMap((child) => lines(child, depth + 1))] : [head];
  }
  const nameIn = (node, path) => (path === (node.above || "") ? "forward" : node.above ? path.slice(node.above.length + 1) : path);
  const focusOn = (path) => document.querySelector(`[data-path="${CSS.escape(path)}"]`)?.focus();

  // What is shown -----------------------------------------------------------------------------------------------------------

  const outputRow = () => sides[0].output ?? sides[1].output;
  const readable = (row) => row >= 0 && present(sides, row) && !sides.some((side) => side.refused && side.refused[0] === row);
  const lastRow = () => (readable(outputRow() ?? IMAGE) ? outputRow() : data.rows.findLastIndex((_, row) => readable(row)));
  const sizeNow = () => [sides[0].size, sides[1].size];
  const mapNow = () => both(sides, chosen.row).map((one) => one || 1);
  function center() { chosen.at = mapNow().map((one) => Math.floor((one - 1) / 2)); }

  function show() {
    [["h", 0], ["w", 1]].forEach(([id, axis]) => {
      for (const field of [$(id), $(`${id}-slider`)]) if (document.activeElement !== field || field.type === "range") field.value = sides[axis].size;
    });
    const last = outputRow(), size = sizeNow();
    const refusal = sides.map((side) => side.refused).find(Boolean);
    $("problem").hidden = !refusal;
    if (refusal) {
      const [row, place, message, of] = refusal, notes = row === null ? [] : notesOf(sides, row).notes;
      $("problem").textContent = `In ${place || "the model's own forward"}${notes.length ? `, ${notes.join("; ")}` : ""}. ${by(of) === by(size) ? "It says" : `At ${by(of)}, which it refuses alike, it says`}: ${message}`;
    }
    const apart = unrun(asked);
    $("unrun").hidden = !apart.length;
    $("unrun").textContent = apart.length ? `The ${apart.join("; ")}.` : "";
    const out = last === null || last === undefined ? null : both(sides, last);
    $("answer").replaceChildren(...(refusal ? [el("b", {}, `${by(size)} is refused`)] : out ? [el("b", {}, `${by(size)} → ${by(out)}`), by(out) === by(size) ? ": the output has the image's size." : ": the output has another size than the image."] : []));
    if (!readable(chosen.row)) { chosen.row = lastRow(); center(); }
    chosen.at = chosen.at.map((one, axis) => clamp(one, 0, mapNow()[axis] - 1));
    const held = document.activeElement?.dataset?.row;
    $("layers").replaceChildren(...(mode === "modules" ? root.children.flatMap((node) => lines(node, 0)) :
      data.rows.flatMap((_, row) => {
        if (!present(sides, row)) return [];
        const { fit, moved } = notesOf(sides, row), refused = sides.some((side) => side.refused && side.refused[0] === row);
        return mode === "every" || fit || moved || refused || row === last ? [lineOf(row, 0, nameOf(row))] : [];
      })));
    if (held !== undefined) document.querySelector(`[data-row="${held}"]`)?.focus({ preventScroll: true });
    for (const [id, name] of [["modules", "modules"], ["changes", "changes"], ["everything", "every"]]) $(id).setAttribute("aria-pressed", String(mode === name));
    showField();
  }

  const SVG = "http://www.w3.org/2000/svg";
  function drawn(svg, [height, width], boxes) {
    const scale = 300 / Math.max(height, width, 1), [tall, wide] = [Math.max(24, height * scale), Math.max(24, width * scale)];
    svg.setAttribute("viewBox", `-2 -2 ${wide + 4} ${tall + 4}`);
    svg.setAttribute("style", `max-width:${Math.round(wide + 4)}px`);
    svg.replaceChildren(...[{ name: "whole", rows: [0, height - 1], columns: [0, width - 1] }, ...boxes].map(({ name, rows, columns }) => {
      const box = document.createElementNS(SVG, "rect");
      const [y, x] = [rows[0] / height * tall, columns[0] / width * wide];
      const sides = { class: name, x, y, width: Math.max(3, (columns[1] + 1 - columns[0]) / width * wide), height: Math.max(3, (rows[1] + 1 - rows[0]) / height * tall) };
      for (const [key, value] of Object.entries(sides)) box.setAttribute(key, value);
      return box;
    }));
  }

  function showField() {
    const size = mapNow(), image = sizeNow();
    [["r", 0], ["c", 1]].forEach(([id, axis]) => {
      for (const field of [$(id), $(`${id}-slider`)]) { field.max = size[axis] - 1; if (document.activeElement !== field || field.type === "range") field.value = chosen.at[axis]; }
    });
    drawn($("map"), size, [{ name: "chosen", rows: [chosen.at[0], chosen.at[0]], columns: [chosen.at[1], chosen.at[1]] }]);
    const fields = [0, 1].map((axis) => fieldOf(sides, axis, chosen.row, chosen.at[axis]));
    const all = [...new Set(fields.flatMap((one) => one.all))];
    const spans = fields.map((one) => one.span);
    const boxes = all.length ? [{ name: "all", rows: [0, image[0] - 1], columns: [0, image[1] - 1] }] : [];
    if (spans.every(Boolean)) boxes.push({ name: "seen", rows: spans[0], columns: spans[1] });
    drawn($("image"), image, boxes);
    const place = `Entry [${chosen.at.join(",")}] of ${nameOf(chosen.row)}`;
    const words = spans.every(Boolean) ? `${place} sees rows ${spans[0].join(" … ")} and columns ${spans[1].join(" … ")} of the image: ${by(spans.map(([a, b]) => b - a + 1))} of ${by(image)}.` :
      all.length ? `${place} sees the image as a whole.` : `${place} sees nothing of the image.`;
    $("field").textContent = words + (all.length ? ` ${spans.every(Boolean) ? "And all of it, at most, " : "At most: all is read "}by ${all.slice(0, 3).map((row) => (data.rows[row][0] ? `${nameOf(row)} (${data.rows[row][1]})` : nameOf(row))).join(", ")}${all.length > 3 ? `, and ${all.length - 3} more` : ""}.` : "");
  }

  // The address, and what a person does -----------------------------------------------------------------------------------------

  const hash = () => `#m1:${new URLSearchParams({ h: sides[0].size, w: sides[1].size, l: chosen.row, at: chosen.at.join(","), show: mode }).toString().replaceAll("%2C", ",")}`;
  function keep() { try { if (location.hash !== hash()) history.replaceState(null, "", hash()); } catch { /* a page within a page */ } }
  const intOf = (text, low, high, otherwise) => (/^[0-9]{1,9}$/.test(text || "") ? clamp(Number(text), low, high) : otherwise);
  function load(text) {
    const parts = new URLSearchParams(text.startsWith("#m1:") ? text.slice(4) : "");
    const first = data.other || 64;
    asked = [0, 1].map((axis) => intOf(parts.get("hw"[axis]), 1, MOST, first));
    sides = computed(asked.map(known));
    $("both").checked = sides[0].size === sides[1].size;
    chosen.row = intOf(parts.get("l"), 0, data.rows.length - 1, lastRow());
    mode = ["modules", "changes", "every"].includes(parts.get("show")) ? parts.get("show") : "modules";
    if (!readable(chosen.row)) chosen.row = lastRow();
    center();
    const at = (parts.get("at") || "").split(",").map((one) => intOf(one, 0, MOST, -1));
    if (at.length === 2 && at.every((one) => one >= 0)) chosen.at = at;
    show();
  }
  function resize(axis, value) {
    const size = sizeNow(), wanted = clamp(Math.round(value) || 1, 1, MOST);
    const next = $("both").checked ? [wanted, wanted] : size.map((one, at) => (at === axis ? wanted : one));
    const share = chosen.at.map((one, at) => (one + .5) / mapNow()[at]);
    asked = next;
    sides = computed(asked.map(known));
    chosen.at = mapNow().map((one, at) => clamp(Math.floor(share[at] * one), 0, one - 1));
    show();
    keep();
  }
  function start() {
    $("title").textContent = document.title;
    const [first, ...more] = data.verdict.split("\n").map((line) => line.trim());
    $("verdict").append(el("summary", {}, `${first}.`), ...more.map((line) => el("div", {}, line)));
    [["h", 0], ["w", 1]].forEach(([id, axis]) => {
      const { sizes } = data.axes[axis];
      $(`${id}-slider`).max = sizes.length ? Math.max(...sizes) : Math.max(256, 4 * (data.other || 64));
      $(id).max = sizes.length ? Math.max(...sizes) : MOST;
      for (const field of [$(id), $(`${id}-slider`)]) field.addEventListener("input", () => { if (field.value !== "") resize(axis, Number(field.value)); });
      $(id).addEventListener("change", () => show());
    });
    $("both").addEventListener("change", () => { if ($("both").checked) resize(0, sizeNow()[0]); });
    [["r", 0], ["c", 1]].forEach(([id, axis]) => {
      for (const field of [$(id), $(`${id}-slider`)]) field.addEventListener("input", () => { chosen.at[axis] = clamp(Math.round(Number(field.value)) || 0, 0, mapNow()[axis] - 1); showField(); keep(); });
    });
    const point = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = $("map").getBoundingClientRect(), size = mapNow();
      chosen.at = [clamp(Math.floor((event.clientY - box.top) / box.height * size[0]), 0, size[0] - 1), clamp(Math.floor((event.clientX - box.left) / box.width * size[1]), 0, size[1] - 1)];
      showField();
      keep();
    };
    $("map").addEventListener("pointerdown", point);
    $("map").addEventListener("pointermove", point);
    [["modules", "modules"], ["changes", "changes"], ["everything", "every"]].forEach(([id, name]) => $(id).addEventListener("click", () => { mode = name; show(); keep(); }));
    $("link").addEventListener("click", async () => {
      $("link").textContent = (await copied(location.href.split("#")[0] + hash())) ? "Copied" : "It is in the address bar";
      setTimeout(() => { $("link").textContent = "Copy the link"; }, 1500);
    });
    window.addEventListener("hashchange", () => { if (location.hash !== hash()) load(location.hash); });
    unfold();
    load(location.hash);
  }

  function certain(size) {
    const apart = unrun(size);
    if (apart.length) throw new RangeError(`the ${apart.join("; ")}`);
    return size;
  }
  /** Documented for programs, with a RangeError where nothing is known: `sizes(height, width)` and `field(row, [r, c], [height, width])`. */
  window.segup = {
    sizes: (height, width) => {
      const pair = computed(certain([height, width]));
      const refused = pair.map((side) => side.refused).find(Boolean) || null;
      return { output: pair[0].output ?? pair[1].output ?? null, refused, rows: data.rows.map((one, row) => (present(pair, row) ? { layer: one[0], what: one[1], size: both(pair, row), ...notesOf(pair, row) } : null)) };
    },
    field: (row, at, size) => { const pair = computed(certain(size)); return [0, 1].map((axis) => fieldOf(pair, axis, row, at[axis])); },
  };
  start();
})();
