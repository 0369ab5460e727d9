// The reference of REST, from /openapi.json.
import { admitted, fetchAsCaller } from "./caller.js";

const main = document.getElementById("reference");
const FONTS = "system-ui, Roboto, sans-serif";
await admitted(main);
const answer = await fetchAsCaller("openapi.json");
await Redoc.init(
  await answer.json(),
  {
    disableSearch: true, // it needs a worker that the policy of these pages forbids
    hideDownloadButton: true,
    nativeScrollbars: true,
    pathInMiddlePanel: true,
    jsonSamplesExpandLevel: 4,
    sideNavStyle: "path-only",
    theme: { typography: { fontFamily: FONTS, headings: { fontFamily: FONTS } }, colors: { primary: { main: "#1d4fb8" } } },
  },
  main,
);
