"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Theme: follows the system until the button is pressed.
  const toggle = document.getElementById("theme");
  const isDark = () => (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
  toggle.hidden = false;
  toggle.addEventListener("click", () => { root.style.colorScheme = isDark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  // Sorting: by the first number of a cell, or by its text. Cells without a number come last in both directions.
  const key = (cell) => {
    const data = cell?.querySelector("data");
    if (data && !data.closest(".more, .lacking")) return Number(data.value);
    return cell?.dataset.sort ? Number(cell.dataset.sort) : cell?.textContent.trim() ?? "";
  };
  const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const sort = (table, header, index) => {
    const falling = header.getAttribute("aria-sort") === (header.dataset.first === "falling" ? "none" : "ascending");
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const numeric = [...body.rows].some((row) => typeof key(row.cells[index]) === "number");
    const lacks = (value) => numeric && typeof value !== "number";
    const rows = [...body.rows].map((row) => [key(row.cells[index]), row]);
    rows.sort(([a], [b]) => lacks(a) - lacks(b) || (falling ? -order(a, b) : order(a, b)));
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of all("table.sortable")) {
    [...table.tHead.rows].at(-1).querySelectorAll("th").forEach((header, index) => {
      if (!header.textContent.trim() || header.dataset.unsorted !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, header, index));
    });
  }

  // Selection of one pane, or of the rows of one group. `data-panes` is the id of the element that contains them.
  for (const select of all("select[data-panes]")) {
    const holder = document.getElementById(select.dataset.panes);
    const show = () => {
      for (const pane of all("[data-pane]", holder)) pane.hidden = select.value !== "" && pane.dataset.pane !== select.value;
    };
    select.closest(".controls").hidden = false;
    select.addEventListener("change", show);
    show();
  }

  // Intervals: shown for the cell at the pointer or the tapped cell, or in all cells of a table.
  const tip = document.getElementById("tip");
  let pinned = null;
  const place = (cell) => {
    const title = document.createElement("b");
    const column = [...cell.closest("table").tHead.rows].at(-1).cells[cell.cellIndex];
    title.append(`${cell.parentElement.cells[0].textContent}, ${column.textContent}: 95 % interval`);
    tip.replaceChildren(title, ...[...cell.querySelector(".more").childNodes].map((node) => node.cloneNode(true)));
    tip.hidden = false;
    const at = cell.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), innerWidth - size.width - 8);
    const above = at.top - size.height - 6;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  };
  const away = () => { pinned = null; tip.hidden = true; };
  const found = (event) => (event.target instanceof Element ? event.target.closest(".has-more") : null);
  document.addEventListener("pointerover", (event) => {
    const cell = found(event);
    if (event.pointerType === "mouse" && !pinned) cell && !cell.closest(".show-more") ? place(cell) : away();
  });
  document.addEventListener("click", (event) => {
    const cell = found(event);
    if (!cell || cell === pinned || cell.closest(".show-more")) return away();
    place(cell);
    pinned = cell;
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && away());
  addEventListener("scroll", away, { capture: true, passive: true });
  for (const box of all("input[data-more]")) {
    box.closest(".controls").hidden = false;
    box.closest("label").hidden = false;
    box.addEventListener("change", () => document.getElementById(box.dataset.more).classList.toggle("show-more", box.checked));
  }

  // Copy: uses the clipboard API, or the selection if the browser does not allow a local file to use the API.
  for (const button of all("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        getSelection().selectAllChildren(source);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // Printing: show all panes and open all details, because a reader cannot do so on paper.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const pane of all("[data-pane][hidden]")) { pane.hidden = false; closed.push(() => { pane.hidden = true; }); }
    for (const part of all("details[data-print]:not([open])")) { part.open = true; closed.push(() => { part.open = false; }); }
  });
  addEventListener("afterprint", () => { while (closed.length) closed.pop()(); });

  // Table of contents: open if there is room for it next to the text.
  const contents = document.querySelector("nav details");
  if (contents && matchMedia("(min-width: 68rem)").matches) contents.open = true;
})();
