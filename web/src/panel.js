// The page beside the planes: decision, sums, regions, curves, histograms, flags, where it all comes from.

import { curveChart, dvhChart, sumChart } from "./charts.js"
import { content } from "./data.js"
import { byId, el } from "./dom.js"

function section(id, title, ...children) {
  return el("section", { class: "part", id }, el("h2", {}, title), ...children)
}

function header() {
  const head = content.header
  return el(
    "header",
    {},
    el("h1", {}, head.patient_key, el("span", {}, `cycle ${head.cycle}`)),
    el("p", {}, `${head.given}, infusion from ${head.given_at}`, el("span", { class: head.is_draft ? "chip draft" : "chip" }, `doses: ${head.status}`)),
    el("p", { class: "quiet" }, `${head.protocol ? `Protocol: ${head.protocol}. ` : ""}Research use; proposals are made by rules, a physician decides. Doses are means of a region with one standard deviation.`),
    head.signatures.length ? el("p", { class: "quiet" }, `Signed: ${head.signatures.join("; ")}`) : null,
  )
}

function reasons(list) {
  if (!list.length) return el("p", {}, "No row of the decision table holds against the next cycle.")
  return el(
    "ol",
    { class: "reasons" },
    list.map((reason) =>
      el(
        "li",
        {},
        el("span", { class: "level", style: { color: reason.colour } }, reason.level),
        el("div", {}, el("b", {}, reason.code), el("span", {}, reason.text), el("small", {}, `row ${reason.row}: ${reason.source}`)),
      ),
    ),
  )
}

function named(name, entries) {
  if (!entries.length) return null
  return el("div", { class: "named" }, el("h3", {}, name), el("ul", {}, entries.map((entry) => el("li", {}, entry))))
}

function decision() {
  const made = content.decision
  return section(
    "decision",
    `Proposal for the next cycle, ${made.on}`,
    el(
      "div",
      { class: "outcome", style: { background: made.pale, "border-color": made.colour } },
      el("strong", { style: { color: made.colour } }, made.outcome),
      el("div", {}, el("b", {}, made.words + (made.activity ? `; ${made.activity}` : "")), el("span", {}, `earliest ${made.earliest}, counts to recover by ${made.deadline}; rules ${made.rule_version}`)),
    ),
    reasons(made.reasons),
    named("Advisories", made.advisories),
    named("Options", made.options),
    named("Missing", made.missing),
  )
}

function sums() {
  return section(
    "sums",
    "Cumulative absorbed dose against limits",
    content.sums.map((sum) =>
      el(
        "figure",
        { class: "sum" },
        el(
          "figcaption",
          {},
          el("b", {}, sum.name),
          ` ${sum.total} Gy signed so far`,
          sum.projected_gy === null ? null : `, ${sum.projected} Gy with the next cycle (dashed)`,
          el("small", {}, `${sum.method}; P(above the limit) ${sum.p_exceed} now, ${sum.p_exceed_projected} with the next; cycles left ${sum.cycles_left}`),
        ),
        sumChart(sum),
      ),
    ),
  )
}

const COLUMNS = [
  ["dose", "Dose, Gy"],
  ["per_activity", "Gy/GBq"],
  ["mass", "Mass, g"],
  ["half_life", "T_eff, h"],
  ["recovery", "RC"],
  ["map_mean", "Map, Gy"],
  ["d98", "D98"],
  ["d2", "D2"],
  ["sphere", "Sphere"],
  ["check", "2nd check"],
]
// what a cell says when the pointer rests on it
const TITLES = { dose: "dose_title", sphere: "sphere_title", check: "check_method" }

function regionRow(region, onPick) {
  const flags = region.flags.map((flag) => el("span", { class: `flag ${flag.level.toLowerCase()}`, title: flag.code }, flag.code))
  const go = region.place_ras_mm ? () => onPick(region) : null
  return el(
    "tr",
    {
      dataset: { region: region.key },
      class: go ? "reachable" : null,
      tabindex: go ? 0 : null,
      onclick: go ?? (() => {}),
      onkeydown: (event) => {
        if (go && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault()
          go()
        }
      },
    },
    el("th", { scope: "row", title: region.method }, el("i", { style: { background: region.colour } }), region.title, ...flags),
    COLUMNS.map(([name]) => el("td", { class: name === "check" && region.check_failed ? "check failed" : name, title: region[TITLES[name]] || null }, region[name])),
  )
}

function regionTable(onPick) {
  return section(
    "regions",
    "Regions of this cycle",
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Region"), COLUMNS.map(([name, title]) => el("th", { scope: "col", class: name }, title)))),
        el("tbody", {}, content.regions.map((region) => regionRow(region, onPick))),
      ),
    ),
    el("p", { class: "note" }, "A click on a row goes there. Dose: recovery-corrected mean, the value of the rules. Map, D98, D2: from the voxel map shown here, which is not recovery-corrected. RC: measured over corrected activity. Sphere: the dose against a sphere of the lesion's mass. The row's title names the method; the dose's title its rate at each scan, D50 and the BED."),
  )
}

function curves(onPick) {
  const shown = content.regions.filter((region) => region.curve)
  return section(
    "curves",
    "Activity over time",
    el(
      "div",
      { class: "curves" },
      shown.map((region) =>
        el(
          "figure",
          { dataset: { region: region.key }, onclick: () => region.place_ras_mm && onPick(region) },
          el("figcaption", {}, el("b", {}, region.title), el("small", {}, region.curve.caption)),
          curveChart(region),
        ),
      ),
    ),
    el("p", { class: "note" }, "MBq over hours after the start of the infusion; recovery-corrected, not decay-corrected. Line: fit; dashed: extrapolated."),
  )
}

function histograms(onPick) {
  const shown = content.regions.filter((region) => region.dvh)
  return section(
    "dvh",
    "Dose-volume histograms",
    shown.length ? dvhChart(shown, (region) => region.place_ras_mm && onPick(region)) : el("p", {}, "No histogram in the result."),
    el("div", { class: "legend" }, shown.map((region) => el("button", { type: "button", dataset: { region: region.key }, onclick: () => region.place_ras_mm && onPick(region) }, el("i", { style: { background: region.colour } }), region.title))),
    el("p", { class: "note" }, "From the dose map, not recovery-corrected."),
  )
}

function flags() {
  return section(
    "flags",
    "Flags",
    content.flags.length
      ? el(
          "ol",
          { class: "reasons" },
          content.flags.map((flag) =>
            el("li", {}, el("span", { class: "level", style: { color: flag.colour } }, flag.level), el("div", {}, el("b", {}, flag.code), el("span", { class: "quiet" }, flag.regions), flag.lines.map((line) => el("p", {}, line)))),
          ),
        )
      : el("p", {}, "None."),
  )
}

function origin() {
  const rows = [
    ...content.time_points.map((point) => [`Time point ${point.number}`, `${point.delay}, ${point.acquired}, ${point.duration}, ${point.total}; ${point.scanner}`]),
    ...content.registration.map((line) => ["Registration", line]),
    ...content.provenance,
    ["Shown", `values are stored in steps of ${content.volumes.dose.step.toPrecision(2)} Gy; CT and layers are cropped to the body; smoothing is for the eye only`],
  ]
  return section("origin", "Images and origin", el("dl", {}, rows.map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])))
}

export function drawPanel(onPick) {
  byId("panel").replaceChildren(header(), decision(), sums(), regionTable(onPick), curves(onPick), histograms(onPick), flags(), origin())
}

export function markRegion(key) {
  for (const element of byId("panel").querySelectorAll("[data-region]")) element.classList.toggle("chosen", element.dataset.region === key)
}
