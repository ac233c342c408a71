// Numbers as the page prints them: a true minus, thin spaces between thousands, an en dash where nothing is known.

export const DASH = "\u2013"

export function fixed(value, decimals) {
  const [whole, part] = Math.abs(value).toFixed(decimals).split(".")
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole
  const sign = value < 0 && Number(value.toFixed(decimals)) !== 0 ? "\u2212" : ""
  return sign + grouped + (part ? `.${part}` : "")
}

export function significant(value, digits = 3) {
  if (value === 0) return "0"
  return fixed(value, Math.min(12, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))))))
}

// Round numbers between two ends, about `count` of them.
export function ticks(low, high, count) {
  const raw = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((one) => one >= raw * 0.999)
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / 10 ** Math.floor(Math.log10(step) + 1e-9) === 2.5 ? 1 : 0))
  const found = []
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push({ value: n * step, text: fixed(n * step, decimals) })
  return found
}
