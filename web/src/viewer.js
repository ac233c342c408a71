// NiiVue with three linked planes of the CT and one layer over it, radiological convention.

import { DRAG_MODE, NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue"
import { volume } from "./data.js"
import { byId } from "./dom.js"
import { INFERNO } from "./inferno.js"
import { NONE } from "./layers.js"
import { resampled } from "./volume.js"

// below this share of the scale a layer fades out, so that the CT stays readable
const FADES_BELOW = 0.2
const HEADER_BYTES = 352
const HALF = 0.5
const GAP = 0.003
export const PLANES = [
  { type: SLICE_TYPE.AXIAL, name: "Axial", position: [0, 0, HALF - GAP, HALF - GAP] },
  { type: SLICE_TYPE.CORONAL, name: "Coronal", position: [HALF + GAP, 0, HALF - GAP, HALF - GAP] },
  { type: SLICE_TYPE.SAGITTAL, name: "Sagittal", position: [0, HALF + GAP, HALF - GAP, HALF - GAP] },
]

const OPTIONS = {
  backColor: [0.035, 0.04, 0.047, 1],
  crosshairWidth: 0,
  isOrientationTextVisible: false,
  sagittalNoseLeft: true,
  dragAndDropEnabled: false,
  viewModeHotKey: "",
  clipPlaneHotKey: "",
  cycleClipPlaneHotKey: "",
  loadingText: "",
  logLevel: "error",
  multiplanarShowRender: 0,
}

// A copy of the CT's header with other values behind it: a layer drawn on the CT's own voxels.
function onGridOf(ct, stored, slope) {
  const bytes = new Uint8Array(HEADER_BYTES + 2 * stored.length)
  bytes.set(new Uint8Array(ct.buffer, 0, HEADER_BYTES))
  new Int16Array(bytes.buffer, HEADER_BYTES).set(stored)
  new DataView(bytes.buffer).setFloat32(112, slope, true)
  return bytes.buffer
}

export class Viewer {
  constructor(onMove, onDraw) {
    this.nv = new Niivue(OPTIONS)
    this.nv.addColormap("inferno-report", INFERNO)
    this.nv.opts.isRadiologicalConvention = true
    this.nv.onLocationChange = onMove
    this.nv.setMouseEventConfig({
      leftButton: { primary: DRAG_MODE.crosshair },
      rightButton: DRAG_MODE.pan,
      centerButton: DRAG_MODE.pan,
    })
    const draw = this.nv.drawScene.bind(this.nv)
    this.nv.drawScene = () => {
      draw()
      onDraw()
    }
  }

  async attach() {
    await this.nv.attachToCanvas(byId("planes"), false)
    // NiiVue paints the parent black; ours is the page's own grey
    byId("planes").parentElement.style.removeProperty("background-color")
  }

  async open(window, layer, top, opacity, smooth) {
    this.ct = await volume("ct")
    const image = await NVImage.new(this.ct.buffer, "ct.nii", "gray", 1, null, window[0], window[1])
    this.nv.customLayout = PLANES.map(({ type, position }) => ({ sliceType: type, position }))
    const source = await volume(layer)
    const buffer = onGridOf(this.ct, resampled(source, this.ct, smooth), source.slope)
    const over = await NVImage.new(buffer, "layer.nii", "inferno-report", opacity, null, FADES_BELOW * top, top)
    over.colormapType = 1
    this.over = over
    this.base = image
    this.nv.volumes = [image, over]
    this.nv.back = image
    this.nv.overlays = [over]
    this.nv.updateGLVolume()
  }

  setWindow([low, high]) {
    this.base.cal_min = low
    this.base.cal_max = high
    this.nv.refreshLayers(this.base, 0)
    this.nv.drawScene()
  }

  async setLayer(name, top, opacity, smooth) {
    const key = `${name} ${smooth}`
    if (name !== NONE && key !== this.shown) {
      const source = await volume(name)
      this.over.img = resampled(source, this.ct, smooth)
      this.over.hdr.scl_slope = source.slope
      this.shown = key
    }
    this.over.cal_min = FADES_BELOW * top
    this.over.cal_max = top
    this.over.opacity = name === NONE ? 0 : opacity
    this.nv.refreshLayers(this.over, 1)
    this.nv.drawScene()
  }

  // Position of the crosshair in RAS mm.
  get place() {
    return Array.from(this.nv.frac2mm(this.nv.scene.crosshairPos, 0, true)).slice(0, 3)
  }

  moveTo(mm) {
    const fractions = this.nv.mm2frac(mm, 0, true)
    this.nv.scene.crosshairPos = fractions.map((value) => Math.min(Math.max(value, 0), 1))
    this.nv.createOnLocationChange()
    this.nv.drawScene()
  }

  fit() {
    this.nv.setPan2Dxyzmm([0, 0, 0, 1])
  }

  // The drawn planes: where they lie on the canvas (device pixels), and the world position of each of their points.
  tiles() {
    return this.nv.screenSlices.flatMap((slice, number) => {
      const plane = PLANES.find((one) => one.type === slice.axCorSag)
      if (!plane) return []
      const [left, top, width, height] = slice.leftTopWidthHeight
      const at = (x, y) => {
        const fractions = this.nv.screenXY2TextureFrac(left + x * width, top + y * height, number, false)
        return Array.from(this.nv.frac2mm(fractions, 0, true)).slice(0, 3)
      }
      // inside the tile, where rounding cannot push a point out of it
      const [p, q, r] = [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75)]
      const perX = q.map((value, axis) => (value - p[axis]) / (0.5 * width))
      const perY = r.map((value, axis) => (value - p[axis]) / (0.5 * height))
      const corner = p.map((value, axis) => value - 0.25 * (perX[axis] * width + perY[axis] * height))
      return [{ name: plane.name, left, top, width, height, corner, perX, perY }]
    })
  }
}

// World position of a point of a tile, in device pixels of the canvas.
export function placeOn(tile, x, y) {
  return tile.corner.map((value, axis) => value + (x - tile.left) * tile.perX[axis] + (y - tile.top) * tile.perY[axis])
}

// The other way: the foot of a position on a tile.
export function pointOn(tile, mm) {
  const along = (unit) => {
    const length = unit[0] ** 2 + unit[1] ** 2 + unit[2] ** 2
    return unit.reduce((sum, value, axis) => sum + value * (mm[axis] - tile.corner[axis]), 0) / length
  }
  return [tile.left + along(tile.perX), tile.top + along(tile.perY)]
}
