// The layers that can lie over the CT, with their units and colour scales.

import { content, volume } from "./data.js"

// a scale ends this much above the highest D2 of the regions it is about
const HEADROOM = 1.15
const SPECT_SHARE = 0.998

export const DOSE = "dose"
export const NONE = "none"
export const timePoints = content.time_points.filter((point) => `activity-${point.number}` in content.volumes)

export function layerName(state) {
  return state.layer === "spect" ? `activity-${state.timePoint}` : state.layer
}

export function unitOf(name) {
  return name === DOSE ? "Gy" : "Bq/mL"
}

export function titleOf(name) {
  if (name === DOSE) return "Absorbed dose"
  const point = timePoints.find((one) => `activity-${one.number}` === name)
  return `Activity at ${point.delay}`
}

// Kidneys set the dose scale where there are kidneys: theirs is the limit, and lesions may run over the end.
function doseTop() {
  const organs = content.regions.filter((region) => region.d2_gy)
  const kidneys = organs.filter((region) => region.key.startsWith("kidney"))
  const highest = Math.max(0, ...(kidneys.length ? kidneys : organs).map((region) => region.d2_gy))
  return highest > 0 ? HEADROOM * highest : content.volumes.dose.largest
}

export async function defaultTop(name) {
  const top = name === DOSE ? doseTop() : (await volume(name)).quantile(SPECT_SHARE)
  return Math.max(top, content.volumes[name].step)
}

// Decimals that tell two neighbouring stored values apart.
export function decimalsOf(name) {
  const step = content.volumes[name].step
  return Math.max(0, Math.ceil(-Math.log10(step)))
}
