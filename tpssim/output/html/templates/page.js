"use strict";
// A click on a column's name sorts by it, then the other way round; what has no value stays at the end.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row.cells[head.cellIndex]), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return (up ? order : -order) || 0;
    });
    body.append(...keyed.map(([, row]) => row));
  });
}

function key(cell) {
  const text = cell.dataset.key;
  if (text === undefined) return cell.textContent === "-" || cell.textContent === "" ? null : cell.textContent;
  if (text === "inf") return Infinity;
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

// Definitions: on hover, on keyboard focus of a column's name, and on a tap on a cell. Without scripts they
// are titles.
const tip = document.getElementById("tip");
for (const detail of document.querySelectorAll("[title]")) {
  detail.dataset.detail = detail.title;
  detail.removeAttribute("title");
  const button = detail.querySelector("button");
  if (button) button.setAttribute("aria-description", detail.dataset.detail);
  else if (detail.scope === "row") detail.tabIndex = 0;
}

function detail(target) {
  const cell = target.closest && target.closest("th, td");
  if (!cell) return "";
  if (cell.dataset.detail) return cell.dataset.detail;
  const head = cell.closest("table").tHead;
  return (head && head.rows[0].cells[cell.cellIndex].dataset.detail) || "";
}

function show(event) {
  const text = detail(event.target);
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = event.target.closest("th, td").getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, innerWidth - size.width - 8));
  const below = box.bottom + 6 + size.height < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? box.bottom + 6 : Math.max(4, box.top - size.height - 6)}px`;
}

for (const name of ["mouseover", "focusin", "click"]) document.addEventListener(name, show);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
document.addEventListener("scroll", () => { tip.hidden = true; }, true);

// Paper has nothing to click on.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.open = true;
    folded.dataset.printed = "";
  }
});
addEventListener("afterprint", () => {
  for (const folded of document.querySelectorAll("details[data-printed]")) folded.open = false;
});
