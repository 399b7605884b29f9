"use strict";
// The page to try a model. Text of users and models is only ever set as textContent.
const known = JSON.parse(document.getElementById("known").textContent);
const at = (id) => document.getElementById(id);
const state = { model: known.models[0], language: "en", image: "", values: [], busy: false, shown: null };
const TOP = 8;

// -- words -----------------------------------------------------------------------------------
function word(name, values = {}) {
  const text = known.words[state.language][name];
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function remembered(value) {
  try {
    if (value) localStorage.setItem("modelwright-language", value);
    return localStorage.getItem("modelwright-language");
  } catch {
    return value || null; // storage may be forbidden
  }
}

function speak(language) {
  state.language = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const item of document.querySelectorAll("[data-word]")) item.textContent = word(item.dataset.word);
  for (const item of document.querySelectorAll("[data-copy]")) {
    item.textContent = word("copy");
    item.setAttribute("aria-label", `${word("copy")}: ${item.dataset.copy}`);
  }
  for (const item of document.querySelectorAll("[data-language]"))
    item.setAttribute("aria-pressed", String(item.dataset.language === language));
  describe();
  working(state.busy);
  show();
}

// -- small builders --------------------------------------------------------------------------
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const percent = (value) => (value > 0 && value < 0.0005 ? "<0.1%" : `${(100 * value).toFixed(1)}%`);

function hue(label) {
  let sum = 7;
  for (const letter of label) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return (sum * 137) % 360;
}

// -- the form --------------------------------------------------------------------------------
function describe() {
  const model = state.model;
  at("name").textContent = model.name;
  at("task").textContent = known.words[state.language].tasks[model.task] || model.task;
  at("version").textContent = word("version", { version: model.version.slice(0, 12) });
  const measured = typeof model.metric.value === "number";
  at("metric").textContent = measured ? `${model.metric.name} ${model.metric.value.toFixed(3)}` : "";
  document.title = `${model.name} · Modelwright`;
}

function area(name, index) {
  const field = make("label", "field");
  const title = make("span", "", word(name));
  title.dataset.word = name;
  const box = make("textarea");
  box.rows = 4;
  box.spellcheck = false;
  box.value = state.values[index] || "";
  if (state.model.maxLength) box.maxLength = state.model.maxLength;
  box.addEventListener("input", () => { state.values[index] = box.value; snippets(); });
  box.addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (sends && (state.model.asks !== "json" || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      ask();
    }
  });
  field.append(title, box);
  return field;
}

function dropZone() {
  const field = make("label", "drop");
  const input = make("input");
  input.type = "file";
  input.accept = "image/*";
  const said = make("span", "", word("drop"));
  said.dataset.word = "drop";
  const picture = make("img");
  picture.hidden = true;
  picture.id = "picture";
  field.append(picture, said, input);
  input.addEventListener("change", () => read(input.files[0]));
  field.addEventListener("dragover", (event) => { event.preventDefault(); field.classList.add("over"); });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("over");
    read(event.dataTransfer.files[0]);
  });
  return field;
}

function read(file) {
  if (!file) return;
  const reader = new FileReader();
  reader.addEventListener("load", () => { choose(reader.result); ask(); });
  reader.readAsDataURL(file);
}

function choose(url) {
  state.image = url.slice(url.indexOf(",") + 1);
  const picture = at("picture");
  picture.src = url;
  picture.alt = word("preview");
  picture.hidden = false;
  snippets();
}

// The first bytes of base64 tell the format, so that an example can be shown.
function asUrl(data) {
  if (data.startsWith("data:")) return data;
  const kinds = { "/9j/": "jpeg", iVBO: "png", R0lG: "gif", UklG: "webp" };
  return `data:image/${kinds[data.slice(0, 4)] || "png"};base64,${data}`;
}

const imageOf = (example) => (typeof example === "string" ? example : Object.values(example)[0]);

const textOf = (example) =>
  typeof example === "string" ? example : (example.text ?? (example.tokens || []).join(" "));

function build() {
  const model = state.model;
  const fields = at("fields");
  fields.replaceChildren();
  fields.className = model.asks;
  state.values = [];
  state.image = "";
  state.shown = null;
  if (model.asks === "image") fields.append(dropZone());
  else if (model.asks === "pair") fields.append(area("first", 0), area("second", 1));
  else fields.append(area(model.asks === "text" ? "text" : "json", 0));
  at("keys").hidden = model.asks === "image";
  at("chips").replaceChildren(...model.examples.map(chip));
  at("examples").hidden = model.examples.length === 0;
}

function chip(example) {
  const button = make("button");
  button.type = "button";
  if (state.model.asks === "image") {
    button.className = "picture";
    const picture = make("img");
    picture.src = asUrl(imageOf(example));
    picture.alt = word("examples");
    button.append(picture);
  } else {
    if (state.model.asks === "text") button.textContent = textOf(example);
    else if (state.model.asks === "pair") button.textContent = `${example.text} ⟷ ${example.text_pair}`;
    else button.textContent = JSON.stringify(example);
    button.title = button.textContent;
  }
  button.addEventListener("click", () => { fill(example); ask(); });
  return button;
}

function fill(example) {
  if (state.model.asks === "image") return choose(asUrl(imageOf(example)));
  if (state.model.asks === "pair") state.values = [example.text, example.text_pair];
  else if (state.model.asks === "text") state.values = [textOf(example)];
  else state.values = [JSON.stringify(example, null, 2)];
  at("fields").querySelectorAll("textarea").forEach((box, index) => { box.value = state.values[index]; });
  snippets();
}

// -- asking ----------------------------------------------------------------------------------
function input() {
  const [first = "", second = ""] = state.values;
  if (state.model.asks === "image") return state.image;
  if (state.model.asks === "pair") return { text: first, text_pair: second };
  if (state.model.asks === "text") return first;
  return JSON.parse(first);
}

function missing() {
  if (state.model.asks === "image") return state.image ? "" : "noImage";
  const needed = state.model.asks === "pair" ? 2 : 1;
  for (let index = 0; index < needed; index += 1) if (!(state.values[index] || "").trim()) return "empty";
  if (state.model.asks === "json") try { input(); } catch { return "notJson"; }
  return "";
}

function body(value) {
  const request = { inputs: [value] };
  if (known.models.length > 1) request.model = state.model.name;
  if (state.model.parameters.includes("top_k")) request.parameters = { top_k: TOP };
  return request;
}

// Without the name and the key that an address may hold: browsers fetch none that does.
const route = () => new URL("v1/predict", location.origin + location.pathname).href;

function working(busy) {
  state.busy = busy;
  at("ask").disabled = busy;
  at("ask").classList.toggle("busy", busy);
  at("askWord").textContent = word(busy ? "asking" : "ask");
  at("answer").classList.toggle("stale", busy);
  at("answer").setAttribute("aria-busy", String(busy));
}

async function ask() {
  if (state.busy) return;
  const lacks = missing();
  if (lacks) {
    state.shown = { word: lacks };
    show();
    return;
  }
  const asked = input();
  const model = state.model;
  working(true);
  const began = performance.now();
  try {
    const response = await fetch(route(), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body(asked)),
    });
    const said = await response.json();
    const ms = performance.now() - began;
    state.shown = response.ok ? { asked, answer: said.predictions[0], ms } : { problem: said };
  } catch {
    state.shown = { word: "offline" };
  }
  if (state.model !== model) state.shown = null; // another model was picked meanwhile
  working(false);
  show();
}

// -- the answer ------------------------------------------------------------------------------
function show() {
  const shown = state.shown;
  const place = at("answer");
  at("took").textContent = "";
  at("raw").hidden = true;
  if (!shown) {
    place.replaceChildren(make("p", "hint", word("nothing")));
  } else if (shown.word || shown.problem) {
    place.replaceChildren(problem(shown));
  } else {
    const ms = shown.ms < 10 ? shown.ms.toFixed(1) : Math.round(shown.ms);
    at("took").textContent = word("took", { ms });
    const views = { entities, labels: classes, label: classes, number };
    const view = views[state.model.answers];
    place.replaceChildren(...(view ? view(shown) : []));
    at("raw").hidden = false;
    at("raw").open = !view;
    at("rawText").textContent = JSON.stringify(shown.answer, null, 2);
  }
}

function problem(shown) {
  const box = make("div", "problem");
  box.setAttribute("role", "alert");
  if (shown.word) {
    box.append(make("p", "", word(shown.word)));
    return box;
  }
  const said = shown.problem;
  box.append(make("strong", "", said.status === 503 ? word("busy") : said.title || word("failed")));
  box.append(make("p", "", said.detail));
  if (said.fix) box.append(make("p", "", said.fix));
  box.append(make("p", "small", `${said.code} · ${word("request")} ${said.request_id}`));
  return box;
}

function classes({ answer }) {
  const chosen = answer.labels || [answer.label];
  const best = make("p", "best", chosen.length ? chosen.join(", ") : word("noLabels"));
  if (answer.labels === undefined) best.append(" ", make("small", "", percent(answer.score)));
  const list = make("ul", "scores");
  list.setAttribute("aria-label", word("scores"));
  const scores = Object.entries(answer.scores || {});
  for (const [label, score] of scores) {
    const item = make("li", chosen.includes(label) ? "chosen" : "");
    const track = make("div", "track");
    const bar = make("div", "fill");
    bar.style.width = `${100 * score}%`;
    track.append(bar);
    item.append(make("span", "label", label), make("span", "value", percent(score)), track);
    list.append(item);
  }
  const parts = [best, list];
  const all = state.model.labels;
  if (scores.length < all) parts.push(make("p", "note", word("of", { n: scores.length, all })));
  return parts;
}

function entities({ asked, answer }) {
  if (!answer.entities.length) return [make("p", "hint", word("noEntities"))];
  const passage = make("p", "passage");
  const table = make("table");
  const rows = make("tbody");
  // Offsets count characters as Python does, not UTF-16 units.
  const letters = Array.from(typeof asked === "string" ? asked : asked.text);
  let place = 0;
  for (const one of [...answer.entities].sort((a, b) => a.start - b.start)) {
    if (one.start >= place) {
      passage.append(letters.slice(place, one.start).join(""));
      const found = make("mark", "", letters.slice(one.start, one.end).join(""));
      found.style.setProperty("--hue", hue(one.label));
      found.append(make("b", "", one.label));
      passage.append(found);
      place = one.end;
    }
    const row = make("tr");
    row.append(make("td", "", one.text), make("td", "", one.label), make("td", "", percent(one.score)));
    rows.append(row);
  }
  passage.append(letters.slice(place).join(""));
  table.append(rows);
  return [passage, table];
}

function number({ answer }) {
  const [name, value] = Object.entries(answer).find(([, one]) => typeof one === "number");
  const shown = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return [make("p", "number", shown), make("p", "note", name)];
}

// -- code to copy ----------------------------------------------------------------------------
function snippets() {
  const url = route();
  const example = state.model.examples[0];
  let value = example === undefined ? "hello" : example;
  if (state.model.asks === "image") value = "BASE64";
  if (state.model.asks === "text") value = textOf(value);
  if (state.model.asks !== "image" && !missing()) value = input();
  const request = { inputs: [value] };
  if (known.models.length > 1) request.model = state.model.name;
  const json = JSON.stringify(request);
  const quoted = json.replace(/'/g, "'\\''");
  const model = known.models.length > 1 ? ` -F model=${state.model.name}` : "";
  const key = known.keyed ? " \\\n  -H 'Authorization: Bearer YOUR_KEY'" : "";
  at("curl").textContent = state.model.asks === "image"
    ? `curl ${url}${key}${key && " \\\n "} -F file=@picture.png${model}`
    : `curl ${url}${key} \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`;
  const lines = ["import json, urllib.request", ""];
  if (state.model.asks === "image") {
    lines.splice(0, 1, "import base64, json, urllib.request");
    lines.push('picture = base64.b64encode(open("picture.png", "rb").read()).decode()');
    lines.push(`body = ${json.replace('"BASE64"', "picture")}`);
  } else {
    lines.push(`body = ${json}`);
  }
  lines.push(
    "request = urllib.request.Request(",
    `    "${url}",`,
    "    data=json.dumps(body).encode(),",
    known.keyed
      ? '    headers={"Content-Type": "application/json", "Authorization": "Bearer YOUR_KEY"},'
      : '    headers={"Content-Type": "application/json"},',
    ")",
    "with urllib.request.urlopen(request) as response:",
    '    print(json.load(response)["predictions"])',
  );
  at("python").textContent = lines.join("\n");
}

async function copy(button) {
  const text = at(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // only offered on https and localhost
    const box = make("textarea", "hidden", text);
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  button.textContent = word("copied");
  setTimeout(() => { button.textContent = word("copy"); }, 1500);
}

// -- start -----------------------------------------------------------------------------------
function pick(index) {
  state.model = known.models[index];
  build();
  describe();
  snippets();
  show();
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
at("models").append(...known.models.map((model) => make("option", "", model.name)));
at("models").addEventListener("change", (event) => pick(event.target.selectedIndex));
at("pick").hidden = known.models.length < 2;
for (const button of document.querySelectorAll("[data-language]"))
  button.addEventListener("click", () => { remembered(button.dataset.language); speak(button.dataset.language); });
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
document.addEventListener("paste", (event) => {
  const file = event.clipboardData && event.clipboardData.files[0];
  if (file && state.model.asks === "image") read(file);
});
pick(0);
speak(remembered() || (navigator.language.startsWith("zh") ? "zh" : "en"));
