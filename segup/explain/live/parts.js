/* What both pages are made of. */
const Parts = (() => {
  "use strict";

  /** An element with its attributes (on… are listeners; false and null are left out) and its children. */
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const button = (text, act, attributes = {}) => el("button", { type: "button", onclick: act, ...attributes }, text);

  /** Put a text on the clipboard; tells whether that worked. */
  async function copied(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* where there is no clipboard */ }
    const field = el("textarea", { style: "position:fixed;opacity:0" });
    field.value = text;
    document.body.append(field);
    field.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* said to the person */ }
    field.remove();
    return done;
  }

  return { el, button, copied };
})();
