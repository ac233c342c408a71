// Maximum-intensity projection of the layer over a faint radiograph of the CT, turned about the long axis of the body.
// NiiVue 0.69 renders surfaces and translucent volumes but no maximum; this one takes a few milliseconds on any machine.

import { TABLE } from "./colours.js"
import { el } from "./dom.js"
import { letterOf } from "./marks.js"

const QUARTER = 90
const BODY_GREY = 92

export class Projection {
  constructor(canvas, onPick) {
    this.canvas = canvas
    this.angle = 0
    this.dragged = false
    this.picture = el("canvas")
    canvas.addEventListener("pointerdown", (event) => {
      this.start = { x: event.clientX, angle: this.angle, moved: false }
      canvas.setPointerCapture(event.pointerId)
    })
    canvas.addEventListener("pointermove", (event) => this.turn(event))
    canvas.addEventListener("pointerup", (event) => {
      if (this.start && !this.start.moved) onPick(this.pick(event.offsetX, event.offsetY))
      this.start = null
    })
  }

  turn(event) {
    if (!this.start || Math.abs(event.clientX - this.start.x) < 4) return
    this.start.moved = true
    this.angle = (this.start.angle + 0.6 * (event.clientX - this.start.x) + 3600) % 360
    this.project()
    this.paint()
  }

  // `layer`: what is projected; `ct`: for the shape of the body; `top`: end of the colour scale.
  show(layer, ct, top, place) {
    const changed = layer !== this.layer || ct !== this.ct
    Object.assign(this, { layer, ct, top, place })
    if (changed) {
      this.body = this.ct && this.thickness()
      this.project()
    }
    this.paint()
  }

  moved(place) {
    this.place = place
    if (this.layer) this.paint()
  }

  // How much more than air each voxel of the layer holds, from the CT at its centre.
  thickness() {
    const { layer, ct } = this
    const out = new Float32Array(layer.stored.length)
    const steps = [0, 1, 2].map((axis) => Int32Array.from({ length: layer.shape[axis] }, (_, n) => {
      const index = [0, 0, 0]
      index[axis] = n
      const at = Math.round(ct.index(layer.place(index))[axis])
      return at >= 0 && at < ct.shape[axis] ? at : -1
    }))
    let n = 0
    for (const z of steps[2]) for (const y of steps[1]) for (const x of steps[0]) {
      const hu = x < 0 || y < 0 || z < 0 ? -1000 : ct.stored[ct.offset([x, y, z])]
      out[n++] = Math.max(0, Math.min(hu + 1000, 2000)) + 3 * Math.max(0, Math.min(hu - 120, 1000))
    }
    return out
  }

  // Directions of the picture in RAS mm: to the right of the viewer, and away from the viewer (0 degrees: from the front).
  get axes() {
    const turn = (this.angle * Math.PI) / 180
    return { right: [-Math.cos(turn), -Math.sin(turn), 0], away: [Math.sin(turn), -Math.cos(turn), 0] }
  }

  get centre() {
    return this.layer.place(this.layer.shape.map((n) => (n - 1) / 2))
  }

  // Index steps along the picture's directions.
  ray(u) {
    const { right, away } = this.axes
    const at = (side, depth) => this.layer.index(this.centre.map((value, axis) => value + side * right[axis] + depth * away[axis]))
    const start = at(u, -this.reach)
    const next = at(u, -this.reach + this.pixel)
    return { start, step: next.map((value, axis) => value - start[axis]), count: Math.ceil((2 * this.reach) / this.pixel) }
  }

  project() {
    const { layer } = this
    const [nx, ny, nz] = layer.shape
    const size = layer.shape.map((n, axis) => n * layer.spacing[axis])
    this.reach = Math.hypot(size[0], size[1]) / 2
    this.pixel = Math.min(layer.spacing[0], layer.spacing[1])
    this.columns = Math.ceil((2 * this.reach) / this.pixel)
    this.highest = new Int16Array(this.columns * nz)
    this.shadow = new Float32Array(this.columns * nz)
    for (let column = 0; column < this.columns; column++) {
      const { start, step, count } = this.ray((column + 0.5) * this.pixel - this.reach)
      for (let n = 0; n < count; n++) {
        const x = Math.round(start[0] + n * step[0])
        const y = Math.round(start[1] + n * step[1])
        if (x < 0 || y < 0 || x >= nx || y >= ny) continue
        for (let z = 0, at = x + nx * y; z < nz; z++, at += nx * ny) {
          const pixel = z * this.columns + column
          if (layer.stored[at] > this.highest[pixel]) this.highest[pixel] = layer.stored[at]
          if (this.body) this.shadow[pixel] += this.body[at]
        }
      }
    }
  }

  // Pixels of the picture, head up: row 0 is the highest slice.
  fillPicture() {
    const nz = this.layer.shape[2]
    this.picture.width = this.columns
    this.picture.height = nz
    const context = this.picture.getContext("2d")
    const image = context.createImageData(this.columns, nz)
    const darkest = this.shadow.reduce((most, value) => Math.max(most, value), 1)
    const headUp = this.layer.linear[2][2] > 0
    for (let z = 0; z < nz; z++) {
      const row = headUp ? nz - 1 - z : z
      for (let column = 0; column < this.columns; column++) {
        const from = z * this.columns + column
        const share = Math.min(1, (this.highest[from] * this.layer.slope) / this.top)
        const grey = BODY_GREY * (this.shadow[from] / darkest)
        const alpha = Math.min(1, share / 0.2)
        const to = 4 * (row * this.columns + column)
        TABLE[Math.max(0, Math.round(255 * share))].forEach((value, n) => {
          image.data[to + n] = alpha * value + (1 - alpha) * (grey + 9)
        })
        image.data[to + 3] = 255
      }
    }
    context.putImageData(image, 0, 0)
  }

  // Where the picture lies on the canvas, in CSS pixels.
  get frame() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight]
    const tall = this.layer.shape[2] * this.layer.spacing[2]
    const scale = Math.min(width / (2 * this.reach), (height - 22) / tall)
    const [w, h] = [2 * this.reach * scale, tall * scale]
    return { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h, scale }
  }

  paint() {
    const ratio = window.devicePixelRatio || 1
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio)
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio)
    const context = this.canvas.getContext("2d")
    context.scale(ratio, ratio)
    this.fillPicture()
    const frame = this.frame
    context.imageSmoothingQuality = "high"
    context.drawImage(this.picture, frame.left, frame.top, frame.width, frame.height)
    this.paintPlace(context, frame)
    this.paintLetters(context)
  }

  paintPlace(context, frame) {
    if (!this.place) return
    const { right } = this.axes
    const centre = this.centre
    const side = this.place.reduce((sum, value, axis) => sum + (value - centre[axis]) * right[axis], 0)
    const x = Math.round(frame.left + (side + this.reach) * frame.scale) + 0.5
    const y = Math.round(frame.top + frame.height / 2 - (this.place[2] - centre[2]) * frame.scale) + 0.5
    context.strokeStyle = "rgba(126, 214, 196, 0.55)"
    context.lineWidth = 1
    context.beginPath()
    context.moveTo(0, y)
    context.lineTo(this.canvas.clientWidth, y)
    context.moveTo(x, 0)
    context.lineTo(x, this.canvas.clientHeight)
    context.stroke()
  }

  paintLetters(context) {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight]
    const { right } = this.axes
    const write = (string, x, y, align, baseline, size, colour) => {
      context.font = `${size} system-ui, "Segoe UI", "DejaVu Sans", sans-serif`
      context.textAlign = align
      context.textBaseline = baseline
      context.fillStyle = colour
      context.fillText(string, x, y)
    }
    this.letters = [letterOf(right.map((value) => -value)), letterOf(right)]
    write(this.letters[0], 6, height / 2, "left", "middle", "600 14px", "#f2d58a")
    write(this.letters[1], width - 6, height / 2, "right", "middle", "600 14px", "#f2d58a")
    const view = ["from the front", "from the left", "from the back", "from the right"][Math.round(this.angle / QUARTER) % 4]
    const turned = this.angle % QUARTER ? `, ${Math.round(this.angle)}\u00b0` : ""
    write(`Maximum along the ray, ${view}${turned}`, 7, 6, "left", "top", "400 11px", "#aab4bd")
    write("drag to turn, click to go there", 7, height - 6, "left", "bottom", "400 11px", "#6f7a84")
  }

  // The brightest voxel behind a point of the canvas, as a position in RAS mm; null beside the picture.
  pick(x, y) {
    if (!this.layer) return null
    const frame = this.frame
    const u = (x - frame.left) / frame.scale - this.reach
    const height = (frame.top + frame.height / 2 - y) / frame.scale + this.centre[2]
    const { start, step, count } = this.ray(u)
    const z = Math.round(this.layer.index([this.centre[0], this.centre[1], height])[2])
    let best = null
    for (let n = 0; n < count; n++) {
      const index = [Math.round(start[0] + n * step[0]), Math.round(start[1] + n * step[1]), z]
      if (index.some((value, axis) => value < 0 || value >= this.layer.shape[axis])) continue
      const value = this.layer.stored[this.layer.offset(index)]
      if (!best || value > best.value) best = { value, index }
    }
    return best && this.layer.place(best.index)
  }
}
