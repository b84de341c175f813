// The console's page: what comes over the live connection into the document, and what is clicked to the server.
// Names come from people: they are only ever set as text.
import { MapView, PictureView, keyOf } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const MOST_ROWS = 200; // of the gallery at a time; the filter finds the others
const GLYPH = { known: "✓", unknown: "?", pending: "…" };
const LEVEL = { warning: "Warning", error: "Error", stale: "Not heard" };
const state = { heads: [], enrollments: [], gallery: [], people: new Map(), head: "", told: new Map() };

/** An element with properties and children; text never becomes markup. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const dateOf = (seconds) => new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

// Live connection

const picture = new PictureView($("picture"), $("boxes"), enroll);
const map = new MapView($("map"), enroll);
const visible = new Set();
let socket = null;
let patience = 1000;

function look() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const looks = document.hidden ? [] : ["people", ...visible];
  socket.send(JSON.stringify({ look: looks }));
}

async function connect() {
  try {
    const { open } = await (await fetch("/session")).json();
    if (!open) return login();
  } catch {
    return lost();
  }
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    patience = 1000;
    $("link").className = "";
    setText($("link"), "connected");
    look();
  };
  socket.onmessage = ({ data }) => (typeof data === "string" ? takeText(JSON.parse(data)) : takePicture(data));
  socket.onclose = lost;
}

function lost() {
  socket = null;
  $("link").className = "lost";
  setText($("link"), "connection lost, trying again");
  setTimeout(connect, patience);
  patience = Math.min(patience * 2, 10000);
}

const kinds = { people: showPeople, gallery: showGallery, health: showHealth, "no-picture": noPicture, "no-cloud": noCloud };

function takeText(message) {
  kinds[message.kind]?.(message);
}

/** Length of the JSON (4 bytes), the JSON, the picture. */
async function takePicture(data) {
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)]), { colorSpaceConversion: "none" });
  if (head.kind === "cloud") {
    $("map-note").hidden = true;
    state.frame = head.frame;
    return map.setCloud(shownHead()?.frame === head.frame || !shownHead() ? bitmap : null);
  }
  picture.show(bitmap, head.boxes);
  showStage(true);
  $("picture-note").hidden = !head.why_no_boxes;
  setText($("picture-note"), head.why_no_boxes && `People cannot be marked in the picture: ${head.why_no_boxes}`);
  picture.mark([...state.people.values()]);
  if ($("enroll").open) $("portrait").hidden = !picture.portrait(enrolling.key, $("portrait"));
}

function showStage(isThere) {
  $("stage").hidden = !isThere;
  document.querySelector("main").classList.toggle("no-picture", !isThere);
}

function noPicture({ why }) {
  showStage(false);
  $("picture-note").hidden = false;
  setText($("picture-note"), sentence(why));
}

function noCloud({ why }) {
  $("map-note").hidden = false;
  setText($("map-note"), sentence(why));
  map.setCloud(null);
}

/** With a capital, unless it begins with the name of a node or a topic, and a full stop. */
const sentence = (text) => (text ? `${text.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase())}.`.replace(/\.\.$/, ".") : "");

// People

const shownHead = () => state.heads.find((head) => head.tracker === state.head) ?? state.heads[0];

function showPeople({ heads, enrollments }) {
  state.heads = heads;
  const everybody = heads.flatMap((head) => head.people).sort((a, b) => a.track - b.track);
  state.people = new Map(everybody.map((person) => [keyOf(person), person]));
  chooseHead(heads);
  map.setPeople(shownHead()?.people ?? []);
  picture.mark(everybody);
  listPeople(everybody);
  announce(everybody);
  listEnrollments(enrollments);
  if ($("enroll").open) showCandidate();
}

function chooseHead(heads) {
  $("head-choice").hidden = heads.length < 2;
  const names = heads.map((head) => head.tracker);
  if ([...$("head").options].map((option) => option.value).join() !== names.join()) {
    $("head").replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
    $("head").value = shownHead()?.tracker ?? "";
  }
}

function listPeople(everybody) {
  const count = everybody.length ? plural(everybody.length, "person", "people") : "";
  setText($("count"), count);
  $("nobody").hidden = everybody.length > 0;
  $("map").ariaLabel = `The LiDAR's view from above, ${count || "nobody in view"}`;
  keepRows($("people"), everybody, keyOf, personRow, updatePerson);
}

/** Rows of a list by key: made, updated and removed, but never made again, so that focus stays. */
function keepRows(list, items, key, makeRow, update) {
  const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const row = rows.get(key(item)) ?? makeRow(item);
    rows.delete(key(item));
    row.dataset.key = key(item);
    update(row, item);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of rows.values()) row.remove();
}

function personRow(person) {
  const button = make("button", { type: "button", textContent: "Enrol" });
  button.addEventListener("click", () => enroll(keyOf(person)));
  const name = make("span", { className: "name" }, make("span"), " ", make("span", { className: "track" }));
  const glyph = make("span", { className: "glyph", ariaHidden: "true" });
  return make("li", {}, glyph, name, make("span", { className: "range" }), button, make("span", { className: "reason" }));
}

function updatePerson(row, person) {
  const [glyph, name, range, button, reason] = row.children;
  const label = { known: person.name, unknown: "Unknown", pending: "Not decided" }[person.status];
  if (row.className !== person.status) row.className = person.status;
  setText(glyph, GLYPH[person.status]);
  setText(name.children[0], label);
  setText(name.children[1], `#${person.track}`);
  setText(range, person.range_m === null ? "" : `${Math.round(person.range_m)} m`);
  setText(reason, [person.reason, ...person.warnings.filter((w) => !person.reason.includes(w))].join("; "));
  const action = person.status === "known" ? `Enrol another walk of ${person.name}` : `Enrol number ${person.track}`;
  if (button.ariaLabel !== action) button.ariaLabel = action;
}

/** Say once when somebody is recognised. */
function announce(everybody) {
  const said = [];
  for (const person of everybody) {
    const name = person.status === "known" ? person.name : "";
    if (name && state.told.get(keyOf(person)) !== name) said.push(`${name} recognised, ${Math.round(person.range_m)} metres away`);
    state.told.set(keyOf(person), name);
  }
  if (said.length) $("announce").textContent = said.join("; ");
  for (const key of state.told.keys()) if (!state.people.has(key)) state.told.delete(key);
}

function listEnrollments(enrollments) {
  state.enrollments = enrollments;
  const key = (item) => `${item.tracker}/${item.track}/${item.name}`;
  keepRows($("enrollments"), enrollments, key, enrollmentRow, (row, item) => {
    const [title, bar, text] = row.children;
    const isCollecting = item.state === "collecting" || item.state === "stored";
    setText(title, isCollecting ? `Enrolling ${item.name}, ${Math.ceil(item.remaining_s)} s to go` : `Enrolling ${item.name}: over`);
    bar.hidden = !isCollecting;
    bar.max = item.samples_needed || 1;
    bar.value = item.samples;
    bar.ariaLabel = `Samples of ${item.name}`;
    setText(text, [sentence(item.message), item.quality && sentence(`rests on ${item.quality}`)].filter(Boolean).join(" "));
    text.className = item.state === "refused" ? "refused" : "muted";
  });
}

const enrollmentRow = () => make("li", {}, make("strong"), make("progress"), make("p", { role: "status" }));

// Enrolling

const enrolling = { key: "", confirm: false, seenMs: 0 };

function enroll(key) {
  const person = state.people.get(key);
  if (!person || $("enroll").open) return;
  Object.assign(enrolling, { key, person, confirm: false, seenMs: performance.now() });
  setText($("enroll-title"), person.status === "known" ? `Enrol another walk of ${person.name}` : `Enrol person #${person.track}`);
  $("enroll-name").value = person.status === "known" ? person.name : "";
  $("names").replaceChildren(...state.gallery.map((entry) => make("option", { value: entry.name })));
  setText($("enroll-answer"), "");
  setText($("enroll-go"), "Enrol");
  $("portrait").hidden = !picture.portrait(key, $("portrait"));
  showCandidate();
  $("enroll").showModal();
  $("enroll-name").focus();
}

function showCandidate() {
  const person = state.people.get(enrolling.key);
  if (person) enrolling.seenMs = performance.now();
  const gone = Math.round((performance.now() - enrolling.seenMs) / 1000);
  const samples = person && (person.samples >= person.samples_needed ? "enough was seen" : `${person.samples} of ${person.samples_needed} samples so far`);
  setText(
    $("enroll-state"),
    person
      ? `In view, ${Math.round(person.range_m)} m away; ${samples}.`
      : `Left the view ${gone} s ago: can be enrolled for 3 s after that. Otherwise wait until they walk past again.`,
  );
}

$("enroll-name").addEventListener("input", () => confirmEnroll(false));

function confirmEnroll(confirm) {
  enrolling.confirm = confirm;
  setText($("enroll-go"), confirm ? "Enrol all the same" : "Enrol");
}

onSubmit($("enroll"), $("enroll-answer"), async () => {
  const seconds = Number(new FormData($("enroll").querySelector("form")).get("seconds"));
  const { tracker, track } = enrolling.person;
  const name = $("enroll-name").value;
  const answer = await change("enroll", { name, track_id: track, tracker_id: tracker, seconds, confirm: enrolling.confirm });
  if (!answer.success && answer.needs_confirmation) confirmEnroll(true);
  if (answer.success && answer.quality) answer.message += ` (${answer.quality})`;
  return answer;
});

// Changes

async function change(action, fields) {
  try {
    const response = await fetch(`/change/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (response.status === 401) login();
    return response.ok ? await response.json() : { success: false, message: await response.text() };
  } catch {
    return { success: false, message: "the console does not answer: is it still running?" };
  }
}

/** Ask the server when a dialog is sent; close it when that worked, else say why not. */
function onSubmit(dialog, answerPlace, ask) {
  const go = dialog.querySelector("[type=submit]");
  dialog.querySelector(".cancel")?.addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    setText(answerPlace, "");
    const answer = await ask();
    go.disabled = false;
    if (!answer.success) return setText(answerPlace, sentence(answer.message));
    dialog.close();
    toast(sentence(answer.message));
  });
}

let toastTimer = 0;

function toast(text) {
  setText($("toast"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setText($("toast"), ""), 9000);
}

/** The dialog for all changes of the gallery: a question, and a field or a choice where one is needed. */
let asked = null;

function ask({ title, text = "", label = "", value = "", choices = null, go, danger = false, send }) {
  asked = send;
  setText($("ask-title"), title);
  setText($("ask-text"), text);
  $("ask-text").hidden = !text;
  $("ask-label").hidden = !label || choices !== null;
  $("ask-choice").hidden = choices === null;
  for (const place of [$("ask-label"), $("ask-choice")]) setText(place.firstElementChild, label);
  $("ask-input").required = Boolean(label) && choices === null;
  $("ask-input").value = value;
  $("ask-select").replaceChildren(...(choices ?? []).map((name) => make("option", { value: name, textContent: name })));
  setText($("ask-answer"), "");
  setText($("ask-go"), go);
  $("ask-go").className = danger ? "primary danger" : "primary";
  $("ask").showModal();
}

onSubmit($("ask"), $("ask-answer"), () => asked($("ask-choice").hidden ? $("ask-input").value : $("ask-select").value));

const doing = {
  Rename: ({ name }) => {
    let confirm = false;
    ask({
      title: `Rename ${name}`,
      label: "New name",
      value: name,
      go: "Rename",
      send: async (to) => {
        const answer = await change("rename", { old_name: name, new_name: to, confirm });
        if (answer.needs_confirmation) {
          confirm = true;
          setText($("ask-go"), "Rename all the same");
        }
        return answer;
      },
    });
  },
  Merge: ({ name }) =>
    ask({
      title: `Merge ${name} into another person`,
      text: "Their templates are joined under the other name. Undo takes it back.",
      label: "The same person as",
      choices: state.gallery.map((entry) => entry.name).filter((other) => other !== name),
      go: "Merge",
      send: (to) => change("merge", { old_name: name, new_name: to }),
    }),
  Disable: ({ name, disabled }) => change("disable", { name, disabled: !disabled }).then((answer) => toast(sentence(answer.message))),
  Delete: ({ name, templates }) =>
    ask({
      title: `Delete ${name}?`,
      text: `${plural(templates, "template is", "templates are")} deleted for good: undo does not bring them back. Disable instead to keep them without naming anybody.`,
      go: "Delete",
      danger: true,
      send: () => change("remove", { name }),
    }),
};

async function showTemplates({ name }) {
  let answer = { success: false, message: "the console does not answer: is it still running?" };
  try {
    const response = await fetch(`/templates?name=${encodeURIComponent(name)}`);
    if (response.status === 401) return login();
    answer = response.ok ? await response.json() : { success: false, message: await response.text() };
  } catch {}
  setText($("templates-title"), `Templates of ${name}`);
  setText($("templates-note"), answer.success ? "" : sentence(answer.message));
  $("templates-list").hidden = !answer.success;
  const rows = (answer.templates ?? []).map(({ enrolled, range_m, samples }) => {
    const figures = [`${Math.round(range_m)} m`, String(samples)].map((textContent) => make("td", { className: "number", textContent }));
    return make("tr", {}, make("td", { textContent: dateOf(enrolled) }), ...figures);
  });
  $("templates-list").tBodies[0].replaceChildren(...rows);
  $("templates").showModal();
}

$("undo").addEventListener("click", () =>
  ask({
    title: "Undo the newest change?",
    text: "The newest change of the gallery is taken back, whoever made it: an enrolment, a new name, a merge, who is disabled. Deletions are final.",
    go: "Undo",
    send: () => change("undo", {}),
  }),
);

// Gallery

function showGallery({ success, message, people, changes }) {
  state.gallery = people;
  const disabled = people.filter((entry) => entry.disabled).length;
  setText($("enrolled"), success ? `${people.length} enrolled${disabled ? `, ${disabled} disabled` : ""}` : "");
  const remark = success ? message.split("; ").slice(1).join("; ") : message; // before it: how many there are, and where
  setText($("gallery-note"), success && !people.length ? "Nobody is enrolled. Click somebody in view." : sentence(remark));
  $("gallery-note").hidden = !$("gallery-note").textContent;
  $("filter").hidden = people.length < 9 && !$("filter").value;
  $("undo").disabled = !success;
  listGallery();
  $("changes").replaceChildren(...changes.map(changeRow));
  if (!changes.length) $("changes").append(make("li", { className: "muted", textContent: "None so far." }));
}

function listGallery() {
  const wanted = $("filter").value.trim().toLocaleLowerCase();
  const shown = state.gallery.filter((entry) => entry.name.toLocaleLowerCase().includes(wanted)).slice(0, MOST_ROWS);
  $("gallery").hidden = !state.gallery.length;
  keepRows($("gallery").tBodies[0], shown, (entry) => entry.name, galleryRow, (row, entry) => {
    const [name, templates, when, actions] = row.children;
    row.entry = entry;
    row.className = entry.disabled ? "disabled" : "";
    setText(name.children[0], entry.name);
    setText(name.children[1], entry.disabled ? "not named" : "");
    setText(templates.firstElementChild, String(entry.templates));
    setText(when, dateOf(entry.enrolled_s));
    const [, merge, toggle] = actions.children;
    merge.disabled = state.gallery.length < 2;
    setText(toggle, entry.disabled ? "Enable" : "Disable");
    toggle.ariaLabel = `${toggle.textContent} ${entry.name}`;
  });
}

function galleryRow(entry) {
  const buttons = Object.keys(doing).map((action) => {
    const button = make("button", { type: "button", className: "quiet", textContent: action, ariaLabel: `${action} ${entry.name}` });
    button.addEventListener("click", () => doing[action](row.entry));
    return button;
  });
  const name = make("td", {}, make("span", { className: "name" }), make("span", { className: "tag" }));
  const count = make("button", { type: "button", className: "quiet", title: "When and how far away they were enrolled" });
  count.ariaLabel = `Templates of ${entry.name}`;
  count.addEventListener("click", () => showTemplates(row.entry));
  const cells = [name, make("td", { className: "number" }, count), make("td", { className: "when" }), make("td", { className: "do" }, ...buttons)];
  const row = make("tr", {}, ...cells);
  row.role = "row"; // on a phone rows are laid out as blocks, which would take their role away
  for (const cell of cells) cell.role = "cell";
  return row;
}

function changeRow({ at, from, action, success, message }) {
  const when = make("span", { className: "muted", textContent: `${at.slice(0, 16).replace("T", " ")} from ${from} · ` });
  const outcome = make("span", { className: success ? "" : "refused", textContent: `${success ? "" : "refused: "}${message}` });
  return make("li", {}, when, `${action}: `, outcome);
}

// Health

function showHealth({ namespace, entries }) {
  setText($("robot"), namespace ? `/${namespace}` : "");
  const troubles = entries.filter((entry) => entry.level !== "ok");
  const fine = entries.filter((entry) => entry.level === "ok");
  const key = (entry) => `${entry.node}: ${entry.title}`;
  keepRows($("troubles"), troubles, key, () => make("li", {}, make("span", { className: "level" }), make("p"), make("p", { className: "muted" })), (row, entry) => {
    row.className = entry.level;
    setText(row.children[0], `${LEVEL[entry.level]}: ${entry.title}`);
    setText(row.children[1], sentence(entry.message));
    setText(row.children[2], entry.cure);
  });
  keepRows($("fine"), fine, key, () => make("li", {}, make("strong"), " ", make("span", { className: "muted" })), (row, entry) => {
    setText(row.children[0], entry.title);
    setText(row.children[1], `${entry.message} (${entry.node})`);
  });
  setText($("fine-summary"), fine.length ? `${plural(fine.length, "check is", "checks are")} fine` : "No check is fine");
  const worst = troubles[0]?.level ?? "ok";
  const count = troubles.filter((entry) => entry.level === worst).length;
  const words = { ok: "all is well", warning: plural(count, "warning", "warnings"), error: plural(count, "error", "errors"), stale: "nodes not heard" };
  $("summary").className = `pill ${worst}`;
  setText($("summary"), words[worst]);
}

// Token

function login() {
  setText($("link"), "a token is needed");
  if (!$("login").open) $("login").showModal();
}

async function openSession(token) {
  const response = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  return response.ok && (await response.json()).open;
}

$("login").addEventListener("cancel", (event) => event.preventDefault());
$("login").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!(await openSession($("token").value))) return setText($("login-answer"), "That is not the token.");
  $("token").value = "";
  $("login").close();
  connect();
});

// Start

const panels = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const what = entry.target.id === "map-panel" ? "cloud" : "picture";
    entry.isIntersecting ? visible.add(what) : visible.delete(what);
  }
  look();
});
for (const panel of ["picture-panel", "map-panel"]) panels.observe($(panel));
document.addEventListener("visibilitychange", look);
$("reach").addEventListener("change", () => {
  map.reach = Number($("reach").value);
  map.draw();
});
$("head").addEventListener("change", () => {
  state.head = $("head").value;
  map.setCloud(null);
});
$("filter").addEventListener("input", listGallery);
connect();
