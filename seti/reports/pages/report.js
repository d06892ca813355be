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
  const setters = [...dialog.querySelectorAll("[data-label]")];

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

  const described = (row) => row.facts.join(", ");

  const cards = data.rows.map((row, number) => {
    const card = element("li");
    card.tabIndex = -1;
    card.dataset.id = row.id;
    if (row.small) {
      const image = element("img");
      image.loading = "lazy";
      image.decoding = "async";
      image.alt = `${data.thing} ${row.id}`;
      image.src = row.small;
      card.append(image);
    } else {
      card.append(element("div", "none", "no image"));
    }
    const mark = element("span", "mark");
    card.append(mark, element("div", "id", row.id), ...row.facts.map((line) => element("div", "facts", line)));
    const one = { row, number, card, mark };
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

  // Rows without a value come last, both ways.
  function compare(option) {
    const key = option.dataset.by, sign = "down" in option.dataset ? -1 : 1;
    if (!key) return () => 0;
    return ({ row: a }, { row: b }) => {
      if (a[key] === null || b[key] === null) return (a[key] === null) - (b[key] === null);
      return a[key] < b[key] ? -sign : a[key] > b[key] ? sign : 0;
    };
  }

  function sort() {
    const [option] = find("sort").selectedOptions, by = compare(option);
    order = [...cards].sort((a, b) => by(a, b) || a.number - b.number);
    list.replaceChildren(...order.map((one) => one.card));
    filter();
  }

  // Controls say what they are about: data-filter names a column of equal values, data-from and data-to a limited one.
  const controls = (attribute) => [...document.querySelectorAll(`#controls [data-${attribute}]`)];
  const equal = controls("filter"), lowest = controls("from"), highest = controls("to");

  function filter() {
    const conditions = [];
    for (const { value, dataset } of equal) {
      if (value) conditions.push((row) => value === String(row[dataset.filter] ?? "unknown"));
    }
    // Where a limit is set, rows without a value are left out.
    for (const { value, dataset } of lowest) {
      if (value !== "") conditions.push((row) => row[dataset.from] !== null && row[dataset.from] >= Number(value));
    }
    for (const { value, dataset } of highest) {
      if (value !== "") conditions.push((row) => row[dataset.to] !== null && row[dataset.to] <= Number(value));
    }
    const label = find("label").value, text = find("search").value.trim().toLowerCase();
    if (label) conditions.push((row) => (labelOf(row.id) || "none") === label);
    if (text) conditions.push((row) => row.id.toLowerCase().includes(text));
    let shown = 0;
    for (const { row, card } of order) {
      card.hidden = !conditions.every((holds) => holds(row));
      shown += !card.hidden;
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
    cards.filter((other) => other.row.id === one.row.id).forEach(show); // several scans of the same observations
    if (dialog.open) fill(one);
    count.textContent = count.textContent.replace(/\d+ labelled/, `${cards.filter((c) => labelOf(c.row.id)).length} labelled`);
  }

  function fill(one) {
    viewed = one;
    const image = dialog.querySelector("img");
    image.onerror = () => { image.onerror = null; image.src = one.row.small || "data:,"; }; // the page was sent alone
    image.src = one.row.large || one.row.small || "data:,";
    image.alt = `${data.thing} ${one.row.id}`;
    const axes = one.row.axes || data.axes, plot = dialog.querySelector(".plot");
    plot.classList.toggle("axes", Boolean(axes));
    if (axes) {
      plot.querySelector(".letters").replaceChildren(...axes.letters.map((letter) => element("i", "", letter)));
      plot.querySelector(".ticks").replaceChildren(...axes.ticks.map((tick) => element("i", "", tick)));
      plot.querySelector(".x").textContent = axes.x;
      plot.querySelector(".y").textContent = axes.y;
    }
    const label = labelOf(one.row.id);
    dialog.querySelector("p").textContent = [one.row.id, described(one.row), label].filter(Boolean).join(" - ");
    for (const button of setters) button.setAttribute("aria-pressed", String(button.dataset.label === label));
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
  find("close").addEventListener("click", () => dialog.close());
  for (const button of setters) button.addEventListener("click", () => set(current, button.dataset.label));
  for (const button of dialog.querySelectorAll("[data-step]")) button.addEventListener("click", () => move(Number(button.dataset.step)));
  // The browser gives the focus back to the card that was clicked, not to the one that was reached by the arrows.
  dialog.addEventListener("close", () => choose(viewed, true));

  // Labels of what this page does not show are exported too: a smaller gallery loses none.
  const quoted = (value) => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  find("export").addEventListener("click", () => {
    const line = (values) => values.map((value) => quoted(value ?? "")).join(",") + "\n";
    const shown = cards.map((one) => one.row), ids = new Set(shown.map((row) => row.id));
    const others = [...new Set([...given.keys(), ...own.keys()])].filter((id) => !ids.has(id)).map((id) => ({ id }));
    const once = new Map([...shown, ...others].reverse().map((row) => [row.id, row]));
    const rows = [...once.values()].reverse().filter((row) => labelOf(row.id));
    const lines = rows.map((row) => line([row.id, labelOf(row.id), ...data.exported.map((key) => row[key])]));
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([line(["id", "label", ...data.exported]), ...lines], { type: "text/csv" }));
    link.download = "labels.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  for (const control of equal.filter((one) => "fill" in one.dataset)) {
    const values = [...new Set(data.rows.map((row) => String(row[control.dataset.filter])))].sort();
    for (const value of values) control.append(element("option", "", value));
  }
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("sort").addEventListener("change", sort);
  for (const control of [...equal, find("label")]) control.addEventListener("change", filter);
  for (const control of [...lowest, ...highest, find("search")]) control.addEventListener("input", filter);
  window.addEventListener("storage", (event) => { if (event.key === place) location.reload(); });
  sort();
})();
