// The camera picture with the boxes of people, and the view from above.

const REACH_M = 60; // of the cloud's picture, to each side, as pictures.py has it
const TRAIL_MS = 6000;
const SHRINK_AFTER_MS = 8000;

/** Key of a person, the same in every message. */
export const keyOf = (person) => `${person.tracker}/${person.track}`;

/** What a person is called over their box: the name, or what is known instead. */
export function labelOf(person) {
  if (person.status === "known") return person.name;
  if (person.status === "unknown") return "unknown";
  return person.samples < person.samples_needed ? `${person.samples}/${person.samples_needed}` : "not sure yet";
}

/** Draws pictures into a canvas, and keeps a clickable box over each person in them. */
export class PictureView {
  constructor(canvas, boxes, onPick) {
    Object.assign(this, { canvas, boxes, onPick, places: new Map(), shown: new Map() });
  }

  /** bitmap: ImageBitmap. places: [{tracker, track, box: [left, top, width, height] as parts}]. */
  show(bitmap, places) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    this.places = new Map(places.map((place) => [keyOf(place), place.box]));
  }

  /** Put the boxes of the last picture over the people who are in view now. */
  mark(people) {
    const seen = new Set();
    for (const person of people) {
      const key = keyOf(person);
      const box = this.places.get(key);
      if (!box) continue;
      seen.add(key);
      let mark = this.shown.get(key);
      if (!mark) {
        mark = document.createElement("div");
        mark.append(document.createElement("span"));
        mark.addEventListener("click", () => this.onPick(key));
        this.shown.set(key, mark);
        this.boxes.append(mark);
      }
      mark.className = box[1] < 0.06 ? `${person.status} top` : person.status;
      mark.firstChild.textContent = `${labelOf(person)} · ${Math.round(person.range_m)} m`;
      mark.style.zIndex = Math.round(1000 - person.range_m);
      ["left", "top", "width", "height"].forEach((side, i) => (mark.style[side] = `${box[i] * 100}%`));
    }
    for (const [key, mark] of this.shown) {
      if (seen.has(key)) continue;
      mark.remove();
      this.shown.delete(key);
    }
  }

  /** Draw one person out of the picture into a small canvas; false where they are not in it. */
  portrait(key, into) {
    const box = this.places.get(key);
    if (!box || !box[2] || !box[3]) return false;
    const { width, height } = this.canvas;
    const tall = box[3] * height * 1.15;
    const wide = (tall * into.width) / into.height;
    const x = (box[0] + box[2] / 2) * width - wide / 2;
    const y = (box[1] + box[3] / 2) * height - tall / 2;
    const context = into.getContext("2d");
    context.clearRect(0, 0, into.width, into.height);
    context.drawImage(this.canvas, x, y, wide, tall, 0, 0, into.width, into.height);
    return true;
  }
}

/** The LiDAR in the middle or at the lower edge, forward is up, left is left. */
export class MapView {
  constructor(canvas, onPick) {
    Object.assign(this, { canvas, people: [], trails: new Map(), cloud: null, reach: 0, auto: 15, fitsSince: 0, behind: false });
    canvas.addEventListener("click", (event) => {
      const key = this.at(event.offsetX, event.offsetY);
      if (key) onPick(key);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** bitmap: the grey picture of what stands where; null: there is none. */
  setCloud(bitmap) {
    this.cloud = null;
    if (bitmap) {
      const size = bitmap.width;
      const canvas = new OffscreenCanvas(size, size);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(bitmap, 0, 0);
      bitmap.close();
      const image = context.getImageData(0, 0, size, size);
      const pixels = new Uint32Array(image.data.buffer); // alpha, blue, green, red: browsers run on little-endian machines
      const shade = new Uint8Array(pixels.length);
      for (let i = 0; i < shade.length; i++) shade[i] = (pixels[i] & 255) * 0.75;
      this.cloud = { canvas, context, image, pixels, shade, color: "" };
    }
    this.draw();
  }

  setPeople(people) {
    this.people = people;
    const now = performance.now();
    for (const person of people) {
      const trail = this.trails.get(keyOf(person)) ?? [];
      trail.push({ at: now, x: person.center[0], y: person.center[1] });
      this.trails.set(keyOf(person), trail);
    }
    for (const [key, trail] of this.trails) {
      while (trail.length && now - trail[0].at > TRAIL_MS) trail.shift();
      if (!trail.length) this.trails.delete(key);
    }
    this.fit(now);
    this.draw();
  }

  /** The smallest reach that holds everybody: grows at once, shrinks after a while. */
  fit(now) {
    const farthest = Math.max(0, ...this.people.map((p) => Math.hypot(p.center[0], p.center[1])));
    const needed = farthest < 13 ? 15 : farthest < 27 ? 30 : 60;
    if (needed >= this.auto) this.fitsSince = now;
    if (needed > this.auto || now - this.fitsSince > SHRINK_AFTER_MS) this.auto = needed;
    const isBehind = this.people.some((p) => p.center[0] < -1);
    if (isBehind) this.behindAt = now;
    this.behind = now - (this.behindAt ?? -Infinity) < SHRINK_AFTER_MS;
  }

  /** Where a place (m, LiDAR frame) lies in the canvas (CSS px). */
  place(x, y) {
    return [this.originX - y * this.scale, this.originY - x * this.scale];
  }

  at(x, y) {
    const near = this.people
      .map((p) => [Math.hypot(this.place(...p.center)[0] - x, this.place(...p.center)[1] - y), keyOf(p)])
      .sort((a, b) => a[0] - b[0])[0];
    return near && near[0] < 24 ? near[1] : "";
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(this.canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const reach = this.reach || this.auto;
    this.originX = width / 2;
    this.originY = this.behind ? height / 2 : height - 24;
    this.scale = (this.behind ? height / 2 : height - 36) / reach;
    if (this.cloud) this.drawCloud(context, color("--structure"));
    this.drawRings(context, reach > 30 ? 20 : reach > 15 ? 10 : 5, Math.hypot(width, height), color);
    for (const person of this.people) this.drawPerson(context, person, color);
  }

  drawCloud(context, structure) {
    const cloud = this.cloud;
    if (cloud.color !== structure) {
      const [red, green, blue] = structure.split(",").map(Number);
      const tint = red | (green << 8) | (blue << 16);
      for (let i = 0; i < cloud.shade.length; i++) cloud.pixels[i] = tint | (cloud.shade[i] << 24);
      cloud.context.putImageData(cloud.image, 0, 0);
      cloud.color = structure;
    }
    const [left, top] = this.place(REACH_M, REACH_M);
    context.imageSmoothingEnabled = false;
    context.drawImage(cloud.canvas, left, top, 2 * REACH_M * this.scale, 2 * REACH_M * this.scale);
  }

  drawRings(context, step, far, color) {
    context.strokeStyle = color("--line");
    context.fillStyle = color("--muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.lineWidth = 1;
    for (let range = step; range * this.scale < far && range <= 120; range += step) {
      context.beginPath();
      context.arc(this.originX, this.originY, range * this.scale, 0, 2 * Math.PI);
      context.stroke();
      context.fillText(`${range} m`, this.originX, this.originY - range * this.scale - 3);
    }
    context.beginPath();
    context.moveTo(this.originX, this.originY - 9);
    context.lineTo(this.originX + 6, this.originY + 5);
    context.lineTo(this.originX - 6, this.originY + 5);
    context.fill();
  }

  drawPerson(context, person, color) {
    const [x, y] = this.place(...person.center);
    const mark = color(`--mark-${person.status}`);
    context.strokeStyle = context.fillStyle = mark;
    context.lineWidth = 2;
    context.globalAlpha = 0.55;
    context.beginPath();
    for (const point of this.trails.get(keyOf(person)) ?? []) context.lineTo(...this.place(point.x, point.y));
    context.stroke();
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    person.status === "known" ? context.fill() : context.stroke();
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "left";
    context.lineWidth = 3;
    context.strokeStyle = color("--sunken");
    context.fillStyle = color("--text");
    const label = labelOf(person).length > 24 ? `${labelOf(person).slice(0, 23)}…` : labelOf(person);
    context.strokeText(label, x + 10, y + 4);
    context.fillText(label, x + 10, y + 4);
  }
}
