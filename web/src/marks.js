// What is drawn over the planes: outlines, a thin crosshair, letters of the patient's sides, a scale bar.

import { content } from "./data.js"
import { pointOn } from "./viewer.js"

// RAS: x rises to the patient's right, y to the front, z to the head.
const ENDS = [
  ["L", "R"],
  ["P", "A"],
  ["I", "S"],
]
const SCALE_MM = 50
const CROSS_GAP = 7

// Letter of the side that a direction in RAS mm points to.
export function letterOf(direction) {
  const size = direction.map(Math.abs)
  const axis = size.indexOf(Math.max(...size))
  return ENDS[axis][direction[axis] > 0 ? 1 : 0]
}

const negative = (vector) => vector.map((value) => -value)

function text(context, string, x, y, size, weight, align, baseline) {
  context.font = `${weight} ${size}px system-ui, "Segoe UI", "DejaVu Sans", sans-serif`
  context.textAlign = align
  context.textBaseline = baseline
  context.lineJoin = "round"
  context.lineWidth = size / 4.5
  context.strokeStyle = "rgba(9, 10, 12, 0.85)"
  context.strokeText(string, x, y)
  context.fillText(string, x, y)
}

function drawLetters(context, tile, ratio) {
  const middle = [tile.left + tile.width / 2, tile.top + tile.height / 2]
  const inset = 5 * ratio
  const size = 14 * ratio
  const letters = [negative(tile.perX), tile.perX, negative(tile.perY), tile.perY].map(letterOf)
  context.fillStyle = "#f2d58a"
  text(context, letters[0], tile.left + inset, middle[1], size, 600, "left", "middle")
  text(context, letters[1], tile.left + tile.width - inset, middle[1], size, 600, "right", "middle")
  context.fillStyle = "#aab4bd"
  text(context, letters[2], middle[0], tile.top + inset, 0.85 * size, 500, "center", "top")
  text(context, letters[3], middle[0], tile.top + tile.height - inset, 0.85 * size, 500, "center", "bottom")
  return letters
}

function drawScaleBar(context, tile, ratio) {
  const length = SCALE_MM / Math.hypot(...tile.perX)
  const [right, bottom] = [tile.left + tile.width - 10 * ratio, tile.top + tile.height - 9 * ratio]
  context.fillStyle = "#cfd6dc"
  context.fillRect(right - length, bottom, length, 1.5 * ratio)
  text(context, `${SCALE_MM / 10} cm`, right - length / 2, bottom - 3 * ratio, 10 * ratio, 400, "center", "bottom")
}

function drawCross(context, tile, place, ratio) {
  const [x, y] = pointOn(tile, place).map((value) => Math.round(value) + 0.5)
  if (x < tile.left || x > tile.left + tile.width || y < tile.top || y > tile.top + tile.height) return
  const gap = CROSS_GAP * ratio
  context.strokeStyle = "rgba(126, 214, 196, 0.8)"
  context.lineWidth = Math.max(1, Math.round(ratio))
  context.beginPath()
  for (const [from, to] of [[tile.left, x - gap], [x + gap, tile.left + tile.width]]) {
    context.moveTo(from, y)
    context.lineTo(to, y)
  }
  for (const [from, to] of [[tile.top, y - gap], [y + gap, tile.top + tile.height]]) {
    context.moveTo(x, from)
    context.lineTo(x, to)
  }
  context.stroke()
}

// Edges of a cell: 0 low row, 1 high column, 2 high row, 3 low column; corners in the order 1, 2, 4, 8 around it.
const EDGES = [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]]
const CUTS = {
  1: [[3, 0]], 2: [[0, 1]], 3: [[3, 1]], 4: [[1, 2]], 5: [[3, 0], [1, 2]], 6: [[0, 2]], 7: [[3, 2]],
  8: [[2, 3]], 9: [[2, 0]], 10: [[0, 1], [2, 3]], 11: [[2, 1]], 12: [[1, 3]], 13: [[1, 0]], 14: [[0, 3]],
}

// Borders of all labels in the plane of a tile, as lines between voxel centres.
export function outlinesIn(labels, tile) {
  const origin = labels.index(tile.corner)
  const [alongX, alongY] = [labels.turn(tile.perX), labels.turn(tile.perY)]
  const largest = (vector) => vector.map(Math.abs).indexOf(Math.max(...vector.map(Math.abs)))
  const [a, b] = [largest(alongX), largest(alongY)]
  const c = 3 - a - b
  const paths = new Map()
  // the plane's place along the third axis does not change over the tile: the axes are parallel
  const depth = Math.round(origin[c])
  if (depth < 0 || depth >= labels.shape[c]) return paths
  const strides = [1, labels.shape[0], labels.shape[0] * labels.shape[1]]
  const at = (i, j) => {
    const inside = i >= 0 && j >= 0 && i < labels.shape[a] && j < labels.shape[b]
    return inside ? labels.stored[i * strides[a] + j * strides[b] + depth * strides[c]] : 0
  }
  const screen = (i, j) => [tile.left + (i - origin[a]) / alongX[a], tile.top + (j - origin[b]) / alongY[b]]
  for (let j = -1; j < labels.shape[b]; j++) {
    for (let i = -1; i < labels.shape[a]; i++) {
      const corners = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)]
      if (corners.every((value) => value === corners[0])) continue
      for (const label of new Set(corners.filter((value) => value > 0))) {
        const code = corners.reduce((sum, value, n) => sum + (value === label ? 1 << n : 0), 0)
        if (!paths.has(label)) paths.set(label, new Path2D())
        for (const [from, to] of CUTS[code] ?? []) {
          paths.get(label).moveTo(...screen(i + EDGES[from][0], j + EDGES[from][1]))
          paths.get(label).lineTo(...screen(i + EDGES[to][0], j + EDGES[to][1]))
        }
      }
    }
  }
  return paths
}

function lighter(colour) {
  const parts = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16))
  return `rgb(${parts.map((value) => Math.round(value + 0.38 * (255 - value))).join(" ")})`
}

function drawOutlines(context, tile, labels, chosen, ratio) {
  for (const [label, path] of outlinesIn(labels, tile)) {
    context.lineCap = "round"
    context.strokeStyle = "rgba(9, 10, 12, 0.6)"
    context.lineWidth = (label === chosen ? 3.6 : 2.8) * ratio
    context.stroke(path)
    context.strokeStyle = lighter(content.label_colours[label] ?? "#9aa5ae")
    context.lineWidth = (label === chosen ? 2 : 1.2) * ratio
    context.stroke(path)
  }
}

// Returns the letters written at the left, right, top and bottom of each plane.
export function drawMarks(canvas, viewer, { labels, outlines, chosen }) {
  const context = canvas.getContext("2d")
  const source = viewer.nv.canvas
  if (canvas.width !== source.width || canvas.height !== source.height) {
    canvas.width = source.width
    canvas.height = source.height
  }
  context.clearRect(0, 0, canvas.width, canvas.height)
  const ratio = source.width / source.clientWidth
  const place = viewer.place
  const letters = {}
  for (const tile of viewer.tiles()) {
    context.save()
    context.beginPath()
    context.rect(tile.left, tile.top, tile.width, tile.height)
    context.clip()
    if (outlines && labels) drawOutlines(context, tile, labels, chosen, ratio)
    drawCross(context, tile, place, ratio)
    letters[tile.name] = drawLetters(context, tile, ratio)
    drawScaleBar(context, tile, ratio)
    context.fillStyle = "#aab4bd"
    text(context, tile.name, tile.left + 7 * ratio, tile.top + 6 * ratio, 11 * ratio, 400, "left", "top")
    context.restore()
  }
  return letters
}
