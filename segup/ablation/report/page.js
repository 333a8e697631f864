for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const value = (row, place) => row.cells[place].dataset.value ?? "";
  heads.forEach((head, place) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const words = head.dataset.kind === "text";
      const first = words || head.dataset.better === "-1" ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      const sign = order === "ascending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const rows = [...body.rows];
      rows.sort((one, other) => {
        const [a, b] = [value(one, place), value(other, place)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * (words ? a.localeCompare(b) : Number(a) - Number(b));
      });
      body.append(...rows);
    });
  });
}

const rows = document.querySelector("fieldset.rows");
if (rows) {
  rows.hidden = false;
  for (const input of rows.querySelectorAll("input")) {
    const groups = document.querySelectorAll(`figure svg [id^="row-${input.dataset.row}-"]`);
    for (const group of groups) {
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = input.parentElement.title;
      group.prepend(title);
    }
    input.addEventListener("change", () => groups.forEach((group) => group.classList.toggle("off", !input.checked)));
    const near = (on) => {
      document.documentElement.classList.toggle("near", on);
      groups.forEach((group) => group.classList.toggle("on", on));
    };
    const label = input.parentElement;
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]])
      label.addEventListener(event, () => near(on));
  }
}

const unfold = () => {
  const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part?.tagName === "DETAILS") part.open = true;
};
addEventListener("hashchange", unfold);
document.querySelectorAll('a[href^="#worst-"]').forEach((link) => link.addEventListener("click", () => setTimeout(unfold)));
unfold();
