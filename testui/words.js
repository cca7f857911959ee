// The console's own catalogs: the play finds things by the words that a user reads.
import { readFileSync, readdirSync } from "node:fs";

const folder = new URL("../simulator/server/console/i18n/", import.meta.url);
export const languages = ["en", "zh-CN"];

export function wordsOf(language) {
  const catalog = {};
  for (const file of readdirSync(folder)) {
    if (file === `${language}.json` || file.endsWith(`.${language}.json`)) Object.assign(catalog, JSON.parse(readFileSync(new URL(file, folder))));
  }
  return (key, places = {}) => {
    if (!(key in catalog)) throw new Error(`the catalog ${language} has no ${key}`);
    return catalog[key].replace(/\{(\w+)\}/g, (place, name) => (name in places ? String(places[name]) : place));
  };
}
