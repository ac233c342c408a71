// Builds the look page's script and style into the Python package; equal sources give equal bytes.
import { build } from "esbuild"
import { createHash } from "node:crypto"
import { copyFile, readFile, readdir, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const web = dirname(fileURLToPath(import.meta.url))
const target = join(web, "..", "pipeline", "review", "static")

// NiiVue computes gradients of the whole CT at every change of its window, for the surfaces of a 3D view that this page
// does not have; without a graphics card that takes seconds. Here it happens only where a 3D view asks for it.
const noIdleGradients = {
  name: "no-idle-gradients",
  setup: ({ onLoad }) =>
    onLoad({ filter: /@niivue[\\/]niivue[\\/]build[\\/]niivue[\\/]index\.js$/ }, async ({ path }) => {
      const always = "this.volumeTexture = outTexture;\n      this.gradientTexture = gradientGL("
      const parts = (await readFile(path, "utf8")).split(always)
      if (parts.length !== 2) throw new Error("NiiVue has changed where it computes gradients: look at no-idle-gradients")
      return { contents: parts.join(always.replace("this.gradientTexture", "if (this.gradientTextureAmount > 0) this.gradientTexture")), loader: "js" }
    }),
}

async function bundle() {
  const result = await build({
    absWorkingDir: web,
    entryPoints: { look: "src/main.js", style: "src/look.css" },
    outdir: target,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    alias: { zarrita: join(web, "src", "no_zarr.js") },
    plugins: [noIdleGradients],
    loader: { ".png": "dataurl", ".jpg": "dataurl" },
    metafile: true,
    logLevel: "warning",
  })
  const folders = Object.keys(result.metafile.inputs).map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1])
  return [...new Set(folders.filter(Boolean))].sort()
}

async function licence(name) {
  const folder = join(web, "node_modules", name)
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"))
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry))
  // NiiVue's package ships no licence text; ours is the one of its repository.
  const text = file ? await readFile(join(folder, file), "utf8") : await readFile(join(web, "licenses", `${name.split("/").pop()}.txt`), "utf8")
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
}

async function sums(names) {
  const lines = []
  for (const name of names) {
    lines.push(`${createHash("sha256").update(await readFile(join(target, name))).digest("hex")}  ${name}\n`)
  }
  return lines.join("")
}

const packages = await bundle()
const rule = `\n${"-".repeat(80)}\n\n`
const heading = "The script look.js contains the following packages, each under its own licence.\nOne line of NiiVue is changed: web/build.mjs says which and why.\nNiiVue carries the font Roboto (Apache License 2.0) as a picture.\n"
await writeFile(join(target, "LICENSES.txt"), [heading, ...(await Promise.all(packages.map(licence)))].join(rule))
await copyFile(join(web, "src", "page.html"), join(target, "page.html"))
await writeFile(join(target, "SHA256SUMS"), await sums(["LICENSES.txt", "look.js", "page.html", "style.css"]))
console.log(`wrote ${relative(process.cwd(), target) || target}: ${packages.join(", ")}`)
