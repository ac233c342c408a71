// What the page carries: the content as JSON, the volumes as base64 of gzipped NIfTI.

import { byId } from "./dom.js"
import { Volume } from "./volume.js"

export const content = JSON.parse(byId("content").textContent)

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text)
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

async function unpack(name) {
  const element = byId(`volume-${name}`)
  const stream = new Blob([bytesOf(element.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"))
  const buffer = await new Response(stream).arrayBuffer()
  // the text is no longer needed, and it is the larger copy
  element.remove()
  return new Volume(name, buffer)
}

const unpacked = new Map()

export function volume(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(name))
  return unpacked.get(name)
}
