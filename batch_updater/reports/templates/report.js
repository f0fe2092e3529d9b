"use strict";
(() => {
  const table = document.getElementById("rows");
  if (!table) return;
  const box = document.getElementById("find"), text = document.getElementById("find-text");
  const kind = document.getElementById("find-kind"), said = document.getElementById("find-count");
  const rows = Array.from(table.tBodies[0].rows, (row) => [row, row.textContent.toLowerCase()]);
  const total = said.textContent;
  const show = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [row, content] of rows) {
      const fits = (!kind.value || row.dataset.kind === kind.value) && words.every((word) => content.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    said.textContent = shown === rows.length ? total : `${shown.toLocaleString("en")} of ${total}`;
  };
  text.addEventListener("input", show);
  kind.addEventListener("change", show);
  box.hidden = false;
})();
