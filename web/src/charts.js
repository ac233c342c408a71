// Curves, dose-volume histograms and sums against limits as SVG; what is drawn was computed by the engine.

import { svg } from "./dom.js"
import { ticks } from "./numbers.js"

const path = (points, x, y) => points.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(2)} ${y(b).toFixed(2)}`).join("")
const linear = (low, high, from, to) => (value) => from + ((value - low) / (high - low)) * (to - from)

function axes(box, xTicks, yTicks, x, y) {
  return [
    ...yTicks.map(({ value }) => svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" })),
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }),
    ...xTicks.map(({ value, text }) => svg("text", { x: x(value), y: box.bottom + 12, class: "tick", "text-anchor": "middle" }, text)),
    ...yTicks.map(({ value, text }) => svg("text", { x: box.left - 5, y: y(value) + 3.5, class: "tick", "text-anchor": "end" }, text)),
  ]
}

export function curveChart(region) {
  const curve = region.curve
  const box = { left: 42, right: 232, top: 8, bottom: 96 }
  const parts = [...(curve.inside ? [curve.inside] : []), ...curve.outside]
  const highest = Math.max(...curve.points.map(([, a, sigma]) => a + sigma), ...parts.flat().map(([, a]) => a), 1e-9)
  const x = linear(0, curve.end_h, box.left, box.right)
  const y = linear(0, 1.06 * highest, box.bottom, box.top)
  const colour = { stroke: region.colour }
  return svg(
    "svg",
    { viewBox: "0 0 240 114", class: "chart", role: "img", "aria-label": `activity over time, ${region.title}` },
    ...axes(box, ticks(0, curve.end_h, 4), ticks(0, highest, 3), x, y),
    ...curve.outside.map((part) => svg("path", { d: path(part, x, y), class: "curve outside", style: colour })),
    curve.inside ? svg("path", { d: path(curve.inside, x, y), class: "curve", style: colour }) : null,
    ...curve.points.flatMap(([h, a, sigma]) => [
      svg("line", { x1: x(h), x2: x(h), y1: y(a - sigma), y2: y(a + sigma), class: "whisker" }),
      svg("circle", { cx: x(h), cy: y(a), r: 3, class: "point", style: colour }),
    ]),
  )
}

export function dvhChart(regions, onPick) {
  const box = { left: 40, right: 632, top: 22, bottom: 226 }
  const end = Math.max(...regions.map((region) => region.dvh.at(-1)[0]), 1e-9)
  const x = linear(0, end, box.left, box.right)
  const y = linear(0, 100, box.bottom, box.top)
  const dashes = ["none", "6 3", "2 3", "8 3 2 3"]
  const used = new Map()
  const lines = regions.map((region) => {
    const count = used.get(region.colour) ?? 0
    used.set(region.colour, count + 1)
    const dash = dashes[count % dashes.length]
    return svg(
      "g",
      { class: "dvh", dataset: { region: region.key }, onclick: () => onPick(region) },
      svg("title", {}, region.title),
      svg("path", { d: path(region.dvh, x, y), class: "hit" }),
      svg("path", { d: path(region.dvh, x, y), class: "curve", style: { stroke: region.colour, "stroke-dasharray": dash } }),
    )
  })
  return svg(
    "svg",
    { viewBox: "0 0 640 256", class: "chart wide", role: "img", "aria-label": "dose-volume histograms" },
    ...axes(box, ticks(0, end, 8), ticks(0, 100, 4), x, y),
    ...lines,
    svg("text", { x: box.right, y: box.bottom + 26, class: "name", "text-anchor": "end" }, "absorbed dose, Gy"),
    svg("text", { x: 8, y: 10, class: "name" }, "% of the volume that receives it"),
  )
}

function sumEnd(sum) {
  const all = sum.parts.reduce((total, part) => total + part.gy, 0)
  const reached = [(sum.total_gy ?? 0) + (sum.sigma_gy ?? 0), (sum.projected_gy ?? 0) + (sum.projected_sigma_gy ?? 0), all]
  return Math.max(...reached.map((value) => 1.05 * value), 1.08 * (sum.limit_gy ?? 0), 1e-3)
}

function interval(x, value, sigma, y) {
  if (value === null || sigma === null || !sigma) return null
  const [low, high] = [x(Math.max(0, value - sigma)), x(value + sigma)]
  return svg("path", { d: `M${low} ${y}H${high}M${low} ${y - 4}V${y + 4}M${high} ${y - 4}V${y + 4}`, class: "interval" })
}

export function sumChart(sum) {
  const box = { left: 8, right: 632, top: 6, bottom: 44 }
  const end = sumEnd(sum)
  const x = linear(0, end, box.left, box.right)
  let reached = 0
  const bars = sum.parts.flatMap((part) => {
    const from = reached
    reached += part.gy
    const width = x(reached) - x(from)
    const text = width > 7 * part.text.length ? svg("text", { x: (x(from) + x(reached)) / 2, y: 29, class: part.signed ? "in-bar" : "in-draft", "text-anchor": "middle" }, part.text) : null
    return [svg("rect", { x: x(from), y: 14, width: Math.max(width, 0.5), height: 22, class: part.signed ? "signed" : "draft", style: part.signed ? { fill: sum.colour } : {} }), text]
  })
  const projected =
    sum.projected_gy !== null && sum.total_gy !== null
      ? svg("rect", { x: x(sum.total_gy), y: 14, width: Math.max(0, x(sum.projected_gy) - x(sum.total_gy)), height: 22, class: "projected", style: { stroke: sum.colour, fill: sum.colour } })
      : null
  const limit =
    sum.limit_gy !== null
      ? [svg("line", { x1: x(sum.limit_gy), x2: x(sum.limit_gy), y1: 6, y2: box.bottom, class: "limit" }), svg("text", { x: x(sum.limit_gy) - 4, y: 10, class: "limit-text", "text-anchor": "end" }, `limit ${sum.limit} Gy`)]
      : []
  return svg(
    "svg",
    { viewBox: "0 0 640 62", class: "chart wide", role: "img", "aria-label": `cumulative dose, ${sum.name}` },
    ...axes(box, ticks(0, end, 8), [], x, () => 0),
    projected,
    ...bars,
    ...limit,
    interval(x, sum.total_gy, sum.sigma_gy, 20),
    interval(x, sum.projected_gy, sum.projected_sigma_gy, 30),
  )
}
