// Values under the pointer, or under the crosshair while the pointer is elsewhere: exactly what the volumes store.

import { content } from "./data.js"
import { byId, el } from "./dom.js"
import { decimalsOf } from "./layers.js"
import { DASH, fixed } from "./numbers.js"

const AXES = [
  ["R", "L"],
  ["A", "P"],
  ["S", "I"],
]

// Stored values and the region at a position in RAS mm; `volumes` are those unpacked so far.
export function valuesAt(mm, volumes) {
  const found = {}
  for (const [name, one] of Object.entries(volumes)) {
    const hit = one?.at(mm)
    found[name] = hit ? hit.value : null
  }
  return found
}

function cell(name, label, text, unit, value) {
  return el("div", { class: "value", id: `value-${name}`, dataset: { value: value ?? "" } }, el("span", {}, label), el("b", {}, text), unit)
}

function place(mm) {
  return mm.map((value, axis) => `${AXES[axis][value < 0 ? 1 : 0]} ${fixed(Math.abs(value), 1)}`).join("  ")
}

export function showValues(mm, volumes, atPointer) {
  const found = valuesAt(mm, volumes)
  const number = (name, decimals) => (found[name] === null || found[name] === undefined ? DASH : fixed(found[name], decimals))
  const region = found.labels ? content.label_names[found.labels] : DASH
  byId("readout").replaceChildren(
    cell("place", atPointer ? "pointer" : "crosshair", place(mm), "mm", mm.join(" ")),
    cell("ct", "CT", number("ct", 0), "HU", found.ct),
    cell("dose", "dose", number("dose", decimalsOf("dose")), "Gy", found.dose),
    ...content.time_points
      .filter((point) => `activity-${point.number}` in content.volumes)
      .map((point) => {
        const name = `activity-${point.number}`
        return cell(name, point.delay, number(name, decimalsOf(name)), "Bq/mL", found[name])
      }),
    cell("region", "region", region, "", found.labels),
  )
}
