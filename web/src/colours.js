// The colours of a layer as 256 packed entries and as a gradient, from the same nodes that NiiVue is given.

import { INFERNO } from "./inferno.js"

function entry(value) {
  const high = INFERNO.I.findIndex((node) => node >= value)
  const low = Math.max(0, high - 1)
  const span = INFERNO.I[high] - INFERNO.I[low]
  const share = span ? (value - INFERNO.I[low]) / span : 0
  return ["R", "G", "B"].map((name) => Math.round(INFERNO[name][low] + share * (INFERNO[name][high] - INFERNO[name][low])))
}

export const TABLE = Array.from({ length: 256 }, (_, value) => entry(value))

export function gradient() {
  const stops = INFERNO.I.map((node) => `rgb(${TABLE[node].join(" ")}) ${((100 * node) / 255).toFixed(1)}%`)
  return `linear-gradient(to right, ${stops.join(", ")})`
}
