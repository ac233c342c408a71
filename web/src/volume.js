// A NIfTI-1 volume of 16-bit values, looked up by world position (RAS mm); the page writes no other kind.

const HEADER_BYTES = 352

function inverseOf(m) {
  const [[a, b, c], [d, e, f], [g, h, i]] = m
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
  return [
    [(e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det],
    [(f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det],
    [(d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det],
  ]
}

export class Volume {
  constructor(name, buffer) {
    const view = new DataView(buffer)
    this.name = name
    this.buffer = buffer
    this.shape = [1, 2, 3].map((n) => view.getInt16(40 + 2 * n, true))
    this.slope = view.getFloat32(112, true)
    this.stored = new Int16Array(buffer, HEADER_BYTES)
    const rows = [280, 296, 312].map((start) => [0, 1, 2, 3].map((n) => view.getFloat32(start + 4 * n, true)))
    this.linear = rows.map((row) => row.slice(0, 3))
    this.origin = rows.map((row) => row[3])
    this.inverse = inverseOf(this.linear)
    this.spacing = [0, 1, 2].map((axis) => Math.hypot(...this.linear.map((row) => row[axis])))
  }

  // Position in mm -> fractional index (column, row, slice).
  index(mm) {
    return this.turn(mm.map((value, axis) => value - this.origin[axis]))
  }

  // A direction in mm as steps of the index.
  turn(vector) {
    return this.inverse.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2])
  }

  place(index) {
    return this.linear.map((row, axis) => row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + this.origin[axis])
  }

  offset([x, y, z]) {
    return x + this.shape[0] * (y + this.shape[1] * z)
  }

  // The voxel that holds a position: its index and its value, or null outside the volume.
  at(mm) {
    const index = this.index(mm).map(Math.round)
    if (index.some((value, axis) => value < 0 || value >= this.shape[axis])) return null
    return { index, value: this.stored[this.offset(index)] * this.slope }
  }

  // Upper end of a colour scale: this share of the voxels above zero lies below it.
  quantile(share) {
    const counts = new Uint32Array(32768)
    let total = 0
    for (const value of this.stored) {
      if (value > 0) {
        counts[value]++
        total++
      }
    }
    let seen = 0
    for (let value = 0; value < counts.length; value++) {
      seen += counts[value]
      if (seen >= share * total) return value * this.slope
    }
    return this.slope
  }
}

// Where the voxel centres of `target` lie along one axis of `source` (the axes are parallel): lower neighbour, weight.
function steps(source, target, axis, smooth) {
  const first = source.index(target.place([0, 0, 0]))[axis]
  const unit = [0, 0, 0]
  unit[axis] = 1
  const step = source.index(target.place(unit))[axis] - first
  const count = target.shape[axis]
  const last = source.shape[axis] - 1
  const low = new Int32Array(count)
  const weight = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    const at = first + i * step
    const inside = at > -0.5 && at < last + 0.5
    const clamped = Math.min(Math.max(at, 0), last)
    low[i] = inside ? Math.min(Math.floor(clamped), Math.max(last - 1, 0)) : -1
    weight[i] = smooth ? clamped - low[i] : Math.round(clamped - low[i])
  }
  return { low, weight }
}

// Values of `source` at the voxels of `target`, for the eye only: linear between voxels, or the nearest one.
export function resampled(source, target, smooth) {
  const [xs, ys, zs] = [0, 1, 2].map((axis) => steps(source, target, axis, smooth))
  const stored = source.stored
  const [nx, ny, nz] = source.shape
  const dy = ny > 1 ? nx : 0
  const dz = nz > 1 ? nx * ny : 0
  const line = new Float32Array(nx + 1)
  const out = new Int16Array(target.stored.length)
  let at = 0
  for (let z = 0; z < target.shape[2]; z++) {
    for (let y = 0; y < target.shape[1]; y++, at += target.shape[0]) {
      if (zs.low[z] < 0 || ys.low[y] < 0) continue
      const [wy, wz] = [ys.weight[y], zs.weight[z]]
      // first between the four lines along x, then along x
      for (let x = 0, o = zs.low[z] * nx * ny + ys.low[y] * nx; x < nx; x++, o++) {
        const front = stored[o] + wy * (stored[o + dy] - stored[o])
        const back = stored[o + dz] + wy * (stored[o + dz + dy] - stored[o + dz])
        line[x] = front + wz * (back - front)
      }
      for (let x = 0; x < target.shape[0]; x++) {
        const low = xs.low[x]
        if (low >= 0) out[at + x] = Math.round(line[low] + xs.weight[x] * (line[low + 1] - line[low]))
      }
    }
  }
  return out
}
