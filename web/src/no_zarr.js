// NiiVue can read Zarr stores over a network; a page that stands alone never does, and the codecs are 1.4 MB.
const refuse = () => {
  throw new Error("this page reads no Zarr store")
}

export const FetchStore = refuse
export const root = refuse
export const open = refuse
export const get = refuse
