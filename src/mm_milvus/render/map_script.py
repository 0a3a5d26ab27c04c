"""The style sheet and the script of the map page."""

CSS = """\
:root {
  --page: #f6f7f9; --card: #fff; --ink: #16181d; --faint: #5b6270; --line: #e4e7ec;
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  max-width: 1280px; margin: 0 auto; padding: 28px clamp(16px, 3vw, 40px) 48px;
}
header { margin-bottom: 20px; }
h1 { font-size: clamp(20px, 2.6vw, 28px); line-height: 1.2; letter-spacing: -.015em; }
header p { color: var(--faint); margin-top: 4px; }
main { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.map {
  position: relative; flex: 1 1 560px; max-width: 900px; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px;
}
svg { display: block; width: 100%; }
circle { fill: var(--c); stroke: #fff; stroke-width: .8; cursor: pointer; }
circle.text { fill: #fff; stroke: var(--c); stroke-width: 1.4; opacity: .75; }
circle.near { stroke: #16181d; stroke-width: 2.5; opacity: 1; }
circle[hidden] { display: none; }
aside { flex: 0 1 240px; font-size: 14px; }
fieldset { border: 0; padding: 0; margin-bottom: 20px; min-width: 0; }
legend { padding: 0; font-weight: 650; margin-bottom: 4px; }
label { display: flex; gap: 7px; align-items: center; padding: 2px 0; overflow-wrap: anywhere; }
label i { flex: none; width: 11px; height: 11px; border-radius: 99px; }
label b { color: var(--faint); font-weight: 400; margin-left: auto; }
.tip {
  position: absolute; z-index: 1; width: 190px; padding: 10px; pointer-events: none;
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  box-shadow: 0 4px 16px rgb(16 24 40 / .14); font-size: 13px; overflow-wrap: anywhere;
}
.tip[hidden] { display: none; }
.tip img { display: block; max-width: 96px; max-height: 96px; margin-bottom: 6px; }
.tip .id, .tip .group { color: var(--faint); font-size: 12px; }
"""

SCRIPT = """\
const { points, layouts } = JSON.parse(document.getElementById("data").textContent);
const box = document.querySelector(".map");
const svg = document.querySelector("svg");
const tip = document.querySelector(".tip");
const circles = [...svg.querySelectorAll("circle")];
const REACH = 14;
let near = null;

function line(name, text) {
  const element = document.createElement("div");
  element.className = name;
  element.dir = "auto";
  element.textContent = text;
  return element;
}

function fill([title, caption, group, thumbnail]) {
  tip.replaceChildren();
  if (thumbnail) {
    const image = document.createElement("img");
    image.src = thumbnail;
    image.alt = "";
    tip.append(image);
  }
  tip.append(line("caption", caption), line("id", title), line("group", group));
}

function show(circle) {
  if (near) near.classList.remove("near");
  near = circle;
  tip.hidden = !circle;
  if (!circle) return;
  circle.classList.add("near");
  fill(points[circle.dataset.n]);
  const at = circle.getBoundingClientRect();
  const frame = box.getBoundingClientRect();
  const left = at.right - frame.left + 8;
  const fits = left + tip.offsetWidth < frame.width;
  tip.style.left = (fits ? left : at.left - frame.left - tip.offsetWidth - 8) + "px";
  const top = at.top - frame.top - 10;
  tip.style.top = Math.max(4, Math.min(top, frame.height - tip.offsetHeight - 4)) + "px";
}

function nearest(event) {
  const scale = svg.viewBox.baseVal.width / svg.clientWidth;
  const frame = svg.getBoundingClientRect();
  const x = (event.clientX - frame.left) * scale;
  const y = (event.clientY - frame.top) * scale;
  let best = null;
  let least = REACH * scale;
  for (const circle of circles) {
    if (circle.hasAttribute("hidden")) continue;
    const away = Math.hypot(circle.cx.baseVal.value - x, circle.cy.baseVal.value - y);
    if (away <= least) [best, least] = [circle, away];
  }
  return best;
}

function chosen(name) {
  const boxes = document.querySelectorAll(`input[name="${name}"]:checked`);
  return new Set([...boxes].map((box) => box.value));
}

function draw() {
  const [number] = chosen("layout");
  const kinds = chosen("kind");
  const groups = chosen("group");
  for (const circle of circles) {
    const [x, y] = layouts[number][circle.dataset.n];
    circle.setAttribute("cx", x);
    circle.setAttribute("cy", y);
    const group = points[circle.dataset.n][2];
    circle.toggleAttribute("hidden", !kinds.has(circle.classList[0]) || !groups.has(group));
  }
  show(null);
}

svg.addEventListener("pointermove", (event) => show(nearest(event)));
svg.addEventListener("pointerleave", () => show(null));
document.querySelector("aside").addEventListener("change", draw);
"""
