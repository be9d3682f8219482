"use strict";

// Tables: a click on a header sorts by its column, a second click the other way round.  Numbers
// first show their largest.  Empty cells stay at the end.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = header.querySelector("button");
    if (button) button.addEventListener("click", () => sort(table, headers, column));
  });
}

function sort(table, headers, column) {
  const body = table.querySelector("tbody:not(.fixed)");
  const rows = [...body.rows].map((row) => {
    const text = row.cells[column].textContent.trim();
    return { row, text, number: parseFloat(text.replaceAll(",", "")) };
  });
  const numeric = rows.every(({ text, number }) => text === "" || !Number.isNaN(number));
  const before = headers[column].getAttribute("aria-sort");
  const descending = before ? before === "ascending" : numeric;
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  headers[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  rows.sort((a, b) => {
    if (a.text === "" || b.text === "") return (a.text === "") - (b.text === "");
    const order = numeric ? a.number - b.number : a.text.localeCompare(b.text);
    return descending ? -order : order;
  });
  body.append(...rows.map(({ row }) => row));
}

// Lists above a plot: which traces it shows, and with which x axis.
for (const list of document.querySelectorAll("select[data-plot]")) {
  const choose = () => {
    const { visible, layout } = JSON.parse(list.value);
    Plotly.update(list.dataset.plot, { visible }, layout ?? {});
  };
  list.addEventListener("change", choose);
  // A browser may bring back the list as it was left before a reload.
  if (list.selectedIndex > 0) choose();
}

// Plots take the page's colours, light or dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  for (const plot of document.querySelectorAll(".plotly-graph-div")) {
    const axes = {};
    for (const axis of ["xaxis", "yaxis"]) {
      axes[`${axis}.gridcolor`] = colour("--line");
      axes[`${axis}.linecolor`] = colour("--line");
    }
    Plotly.relayout(plot, { "font.color": colour("--ink"), ...axes });
  }
}
paint();
dark.addEventListener("change", paint);

// A finger that moves over a plot scrolls the page instead of zooming.
if (matchMedia("(pointer: coarse)").matches) {
  for (const plot of document.querySelectorAll(".plotly-graph-div")) {
    Plotly.relayout(plot, { dragmode: false });
  }
}
