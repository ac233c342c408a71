// The colour bar with its unit, and the slider for its upper end.

import { gradient } from "./colours.js"
import { content } from "./data.js"
import { byId, el } from "./dom.js"
import { NONE, titleOf, unitOf } from "./layers.js"
import { significant, ticks } from "./numbers.js"

// the slider runs over three decades up to the largest value
const STEPS = 300
const DECADES = 3

const topOf = (name, step) => content.volumes[name].largest * 10 ** (DECADES * (step / STEPS - 1))
const stepOf = (name, top) => Math.round(STEPS * (1 + Math.log10(top / content.volumes[name].largest) / DECADES))

export function drawScale(name, top, onTop) {
  const box = byId("scale")
  if (name === NONE) {
    box.replaceChildren(el("span", { class: "quiet" }, "CT only"))
    return
  }
  const marks = ticks(0, top, top < 1000 ? 6 : 4).map(({ value, text }) =>
    el("span", { class: "tick", style: { left: `${((100 * value) / top).toFixed(2)}%` } }, text),
  )
  const slider = el("input", {
    type: "range",
    id: "top",
    min: 0,
    max: STEPS,
    step: 1,
    "aria-label": "upper end of the colour scale",
    oninput: (event) => onTop(topOf(name, Number(event.target.value)), false),
    onchange: (event) => onTop(topOf(name, Number(event.target.value)), true),
  })
  slider.value = String(stepOf(name, top))
  box.replaceChildren(
    el("div", { class: "scale-title" }, titleOf(name), el("b", { id: "unit" }, unitOf(name))),
    el("div", { class: "scale-bar" }, el("div", { class: "scale-colours", style: { background: gradient() } }), ...marks),
    el("label", { class: "scale-top" }, "up to ", el("span", { id: "top-text" }, `${significant(top)} ${unitOf(name)}`), slider),
  )
}

// While the slider moves, only the numbers change: the bar is made anew when it comes to rest.
export function nameTop(name, top) {
  byId("top-text").textContent = `${significant(top)} ${unitOf(name)}`
}
