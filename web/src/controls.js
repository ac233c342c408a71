// The bar above the planes.

import { byId, el } from "./dom.js"
import { timePoints } from "./layers.js"

// level and width as usual in CT reading, as lower and upper end in HU
export const WINDOWS = {
  "Soft tissue": [-160, 240],
  Liver: [-20, 140],
  Lung: [-1350, 150],
  Bone: [-500, 1300],
}

function choice(name, entries, chosen, onChoose) {
  return el(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": name, id: name },
    entries.map(([value, text]) =>
      el("button", { type: "button", role: "radio", dataset: { value }, "aria-checked": String(value === chosen), onclick: () => onChoose(value) }, text),
    ),
  )
}

function toggle(id, text, on, onChange) {
  return el("button", { type: "button", id, class: "toggle", "aria-pressed": String(on), onclick: onChange }, text)
}

function slider(id, text, attributes, onInput) {
  return el("label", { class: "slider" }, el("span", { id: `${id}-text` }, text), el("input", { type: "range", id, ...attributes, oninput: (event) => onInput(Number(event.target.value)) }))
}

export function drawControls(state, act) {
  const layers = [["dose", "Dose"], ...(timePoints.length ? [["spect", "SPECT"]] : []), ["none", "CT"]]
  byId("bar").replaceChildren(
    choice("layer", layers, state.layer, act.layer),
    timePoints.length
      ? slider("time", "", { min: 0, max: timePoints.length - 1, step: 1, value: 0, "aria-label": "time point", disabled: timePoints.length < 2 }, (n) => act.time(timePoints[n].number))
      : null,
    choice("window", Object.keys(WINDOWS).map((name) => [name, name]), state.window, act.window),
    toggle("outlines", "Outlines", state.outlines, act.outlines),
    toggle("smooth", "Smooth", state.smooth, act.smooth),
    slider("opacity", "Opacity", { min: 0, max: 100, step: 5, value: 100 * state.opacity, "aria-label": "opacity of the layer" }, (n) => act.opacity(n / 100)),
    el("button", { type: "button", id: "fit", title: "undo panning and zooming (right button drags, with the wheel for zoom)", onclick: act.fit }, "Fit"),
  )
  markControls(state)
}

export function markControls(state) {
  for (const [name, chosen] of [["layer", state.layer], ["window", state.window]]) {
    for (const button of byId(name).children) button.setAttribute("aria-checked", String(button.dataset.value === chosen))
  }
  byId("outlines").setAttribute("aria-pressed", String(state.outlines))
  byId("smooth").setAttribute("aria-pressed", String(state.smooth))
  const point = timePoints.find((one) => one.number === state.timePoint)
  if (point) {
    byId("time").value = String(timePoints.indexOf(point))
    byId("time-text").textContent = `${timePoints.indexOf(point) + 1} of ${timePoints.length}: ${point.delay}`
  }
}
