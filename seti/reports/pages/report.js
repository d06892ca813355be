"use strict";
(() => {
  const holder = document.getElementById("data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const keys = JSON.parse(document.getElementById("labels").textContent);
  const names = Object.values(keys);
  const place = "seti-labels:" + data.identity;
  const find = (id) => document.getElementById(id);
  const list = find("cards"), dialog = find("full"), count = find("count");

  // What the user set here stands above the labels that came with the page; "" is a label that was deleted.
  const own = new Map();
  try {
    for (const [id, label] of Object.entries(JSON.parse(localStorage.getItem(place) || "{}"))) {
      if (label === "" || names.includes(label)) own.set(id, label);
    }
  } catch { /* no storage, or something else in it: labels last until the page is closed */ }
  const given = new Map(Object.entries(data.labels));
  const labelOf = (id) => own.has(id) ? own.get(id) : given.get(id) || "";

  function keep(id, label) {
    own.set(id, label);
    try {
      localStorage.setItem(place, JSON.stringify(Object.fromEntries(own)));
    } catch { /* as above */ }
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const described = (row) => [
    "score " + row.score.toFixed(4),
    row.target === null ? "" : row.target ? "needle" : "no needle",
    row.kind,
    row.fold === null ? row.split : "fold " + row.fold,
  ].filter(Boolean).join(", ");

  const cards = data.rows.map((row, number) => {
    const card = element("li");
    card.tabIndex = -1;
    card.dataset.id = row.id;
    if (row.small) {
      const image = element("img");
      image.loading = "lazy";
      image.decoding = "async";
      image.alt = "cadence " + row.id;
      image.src = row.small;
      card.append(image);
    } else {
      card.append(element("div", "none", "no image"));
    }
    const mark = element("span", "mark");
    card.append(mark, element("div", "id", row.id), element("div", "facts", described(row)));
    const one = { row, number, card, mark, error: row.target === null ? -1 : Math.abs(row.target - row.score) };
    show(one);
    return one;
  });
  const byCard = new Map(cards.map((one) => [one.card, one]));
  let order = cards, current = null, viewed = null;

  function show(one) {
    const label = labelOf(one.row.id);
    one.mark.textContent = label;
    one.mark.hidden = label === "";
  }

  const compare = {
    page: (a, b) => a.number - b.number,
    high: (a, b) => b.row.score - a.row.score,
    low: (a, b) => a.row.score - b.row.score,
    wrong: (a, b) => b.error - a.error,
    fold: (a, b) => (a.row.fold ?? Infinity) - (b.row.fold ?? Infinity) || 0,
    id: (a, b) => (a.row.id < b.row.id ? -1 : a.row.id > b.row.id ? 1 : 0),
  };

  function sort() {
    order = [...cards].sort((a, b) => compare[find("sort").value](a, b) || a.number - b.number);
    list.replaceChildren(...order.map((one) => one.card));
    filter();
  }

  function filter() {
    const value = (id) => find(id).value;
    const target = value("target"), kind = value("kind"), fold = value("fold"), label = value("label");
    const from = value("from") === "" ? -Infinity : Number(value("from"));
    const to = value("to") === "" ? Infinity : Number(value("to"));
    const text = value("search").trim().toLowerCase();
    let shown = 0;
    for (const { row, card } of order) {
      const own = labelOf(row.id);
      const fits =
        (!target || target === (row.target === null ? "unknown" : String(row.target))) &&
        (!kind || kind === row.kind) &&
        (!fold || fold === (row.fold === null ? row.split : String(row.fold))) &&
        (!label || (label === "none" ? own === "" : own === label)) &&
        row.score >= from && row.score <= to &&
        row.id.toLowerCase().includes(text);
      card.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${cards.length} shown, ${cards.filter((one) => labelOf(one.row.id)).length} labelled`;
    choose(current && !current.card.hidden ? current : visible()[0] || null);
  }

  const visible = () => order.filter((one) => !one.card.hidden);

  // One card takes part in the order of the tab key: the framed one.
  function choose(one, focus) {
    if (current) current.card.tabIndex = -1;
    current = one;
    if (!one) return;
    one.card.tabIndex = 0;
    if (focus) one.card.focus();
    if (dialog.open) fill(one);
  }

  function set(one, label) {
    keep(one.row.id, label);
    show(one);
    if (dialog.open) fill(one);
    count.textContent = count.textContent.replace(/\d+ labelled/, `${cards.filter((c) => labelOf(c.row.id)).length} labelled`);
  }

  function fill(one) {
    viewed = one;
    const image = dialog.querySelector("img");
    image.onerror = () => { image.onerror = null; image.src = one.row.small || "data:,"; }; // the page was sent alone
    image.src = one.row.large || one.row.small || "data:,";
    image.alt = "cadence " + one.row.id;
    dialog.querySelector("p").textContent = [one.row.id, described(one.row), labelOf(one.row.id)].filter(Boolean).join(" - ");
  }

  function move(step) {
    const all = visible(), next = all[all.indexOf(current) + step];
    if (next) choose(next, !dialog.open);
  }

  function columns() {
    const all = visible();
    const first = all[0].card.offsetTop;
    const next = all.findIndex((one) => one.card.offsetTop !== first);
    return next < 0 ? all.length : next;
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !current) return;
    if (!dialog.open && !byCard.has(event.target)) return;
    const label = keys[event.key.toUpperCase()];
    const steps = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: () => columns() };
    if (label) set(current, label);
    else if (event.key === "Backspace" || event.key === "Delete") set(current, "");
    else if (steps[event.key]) move(steps[event.key]());
    else if (event.key === "Enter" && !dialog.open) open();
    else return;
    event.preventDefault();
  });

  function open() {
    fill(current);
    dialog.showModal();
  }

  list.addEventListener("click", (event) => {
    const card = event.target.closest("li");
    if (!card) return;
    choose(byCard.get(card), true);
    open();
  });
  list.addEventListener("focusin", (event) => { if (byCard.has(event.target)) choose(byCard.get(event.target)); });
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  // The browser gives the focus back to the card that was clicked, not to the one that was reached by the arrows.
  dialog.addEventListener("close", () => choose(viewed, true));

  const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  find("export").addEventListener("click", () => {
    const rows = cards.filter((one) => labelOf(one.row.id)).map(({ row }) => `${quoted(row.id)},${labelOf(row.id)}\n`);
    const link = element("a");
    link.href = URL.createObjectURL(new Blob(["id,label\n", ...rows], { type: "text/csv" }));
    link.download = "labels.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  const folds = [...new Set(data.rows.map((row) => row.fold === null ? row.split : String(row.fold)))].sort();
  for (const fold of folds) find("fold").append(element("option", "", fold));
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("sort").addEventListener("change", sort);
  for (const id of ["target", "kind", "fold", "label"]) find(id).addEventListener("change", filter);
  for (const id of ["from", "to", "search"]) find(id).addEventListener("input", filter);
  window.addEventListener("storage", (event) => { if (event.key === place) location.reload(); });
  sort();
})();
