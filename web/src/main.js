// One state, drawn by the parts; the panel stands before the planes do, and without them where WebGL 2 is missing.

import { drawControls, markControls, WINDOWS } from "./controls.js"
import { content, volume } from "./data.js"
import { byId } from "./dom.js"
import { defaultTop, layerName, NONE, timePoints } from "./layers.js"
import { drawMarks } from "./marks.js"
import { Projection } from "./mip.js"
import { drawPanel, markRegion } from "./panel.js"
import { showValues, valuesAt } from "./readout.js"
import { drawScale, nameTop } from "./scale.js"
import { placeOn, Viewer } from "./viewer.js"

const state = {
  layer: "dose",
  timePoint: timePoints[0]?.number ?? null,
  window: "Soft tissue",
  outlines: true,
  smooth: true,
  opacity: 0.75,
  chosen: null,
  pointer: null,
}
const tops = new Map()
const volumes = {}
let viewer = null
let projection = null
let letters = {}

async function load(name) {
  volumes[name] = await volume(name)
  return volumes[name]
}

async function topFor(name) {
  if (name !== NONE && !tops.has(name)) tops.set(name, await defaultTop(name))
  return tops.get(name) ?? 1
}

function values() {
  if (viewer?.ct) showValues(state.pointer ?? viewer.place, volumes, state.pointer !== null)
}

function marks() {
  if (!viewer?.ct || !viewer.nv.screenSlices.length) return
  letters = drawMarks(byId("marks"), viewer, { labels: volumes.labels, outlines: state.outlines, chosen: state.chosen?.label })
}

async function showLayer() {
  const name = layerName(state)
  const top = await topFor(name)
  if (name !== NONE) await load(name)
  if (name !== layerName(state)) return
  await viewer.setLayer(name, top, state.opacity, state.smooth)
  drawScale(name, top, setTop)
  markControls(state)
  if (name !== NONE) projection.show(volumes[name], volumes.ct, top, viewer.place)
  values()
}

function setTop(top, settled) {
  const name = layerName(state)
  tops.set(name, top)
  if (settled) showLayer()
  else {
    nameTop(name, top)
    projection.show(volumes[name], volumes.ct, top, viewer.place)
  }
}

const act = {
  layer: (value) => change({ layer: value }),
  time: (value) => change({ timePoint: value, layer: "spect" }),
  smooth: () => change({ smooth: !state.smooth }),
  opacity: (value) => change({ opacity: value }),
  fit: () => viewer?.fit(),
  window: (value) => {
    state.window = value
    markControls(state)
    viewer?.setWindow(WINDOWS[value])
  },
  outlines: () => {
    state.outlines = !state.outlines
    markControls(state)
    marks()
  },
}

function change(values) {
  Object.assign(state, values)
  markControls(state)
  return viewer?.ct ? showLayer() : Promise.resolve()
}

function goTo(region) {
  state.chosen = region
  state.pointer = null
  markRegion(region.key)
  if (viewer?.ct) viewer.moveTo(region.place_ras_mm)
}

function follow(event) {
  const canvas = byId("planes")
  const ratio = canvas.width / canvas.clientWidth
  const [x, y] = [event.offsetX * ratio, event.offsetY * ratio]
  const tile = viewer.tiles().find((one) => x >= one.left && y >= one.top && x < one.left + one.width && y < one.top + one.height)
  state.pointer = tile ? placeOn(tile, x, y) : null
  values()
}

function listen() {
  const canvas = byId("planes")
  canvas.addEventListener("pointermove", follow)
  canvas.addEventListener("pointerleave", () => {
    state.pointer = null
    values()
  })
  const keys = { o: act.outlines, d: () => act.layer("dose"), s: () => timePoints.length && act.layer("spect") }
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey
    if (!typing) keys[event.key]?.()
  })
  new ResizeObserver(() => projection.layer && projection.paint()).observe(byId("projection"))
}

// The first region that the limits are about, or else any: where the planes start.
function firstRegion() {
  const reachable = content.regions.filter((region) => region.place_ras_mm)
  return reachable.find((region) => region.key.startsWith("kidney")) ?? reachable[0]
}

function afterFrames(count) {
  return new Promise((resolve) => {
    const next = (left) => (left ? requestAnimationFrame(() => next(left - 1)) : resolve())
    next(count)
  })
}

async function open() {
  viewer = new Viewer(() => {
    values()
    projection.moved(viewer.place)
  }, marks)
  projection = new Projection(byId("mip"), (mm) => mm && viewer.moveTo(mm))
  const attached = viewer.attach()
  await Promise.all([attached, ...["ct", "dose", "labels"].map(load)])
  const top = await topFor("dose")
  await viewer.open(WINDOWS[state.window], "dose", top, state.opacity, state.smooth)
  drawScale("dose", top, setTop)
  projection.show(volumes.dose, volumes.ct, top, viewer.place)
  const first = firstRegion()
  if (first) goTo(first)
  byId("message").remove()
  listen()
  await afterFrames(2)
}

async function start() {
  drawPanel(goTo)
  drawControls(state, act)
  await afterFrames(1)
  await open()
  document.body.dataset.ready = String(Math.round(performance.now()))
  // the other time points are unpacked when the first picture stands
  for (const point of timePoints) await load(`activity-${point.number}`)
  values()
  document.body.dataset.complete = String(Math.round(performance.now()))
}

// For the browser's console and for tests: what is shown, and the values at a position in RAS mm.
globalThis.lookPage = {
  state,
  content,
  get viewer() {
    return viewer
  },
  get projection() {
    return projection
  },
  get letters() {
    return letters
  },
  valuesAt: (mm) => valuesAt(mm, volumes),
  goTo: (mm) => viewer.moveTo(mm),
  act,
}

start().catch((error) => {
  document.body.dataset.error = String(error)
  const message = byId("message")
  if (message) message.textContent = `The planes cannot be drawn here (${error.message}). They need WebGL 2; everything beside them is complete.`
  else throw error
})
