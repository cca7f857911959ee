// The console's own catalogs: the play finds things by the words that a user reads.
import { readFileSync } from "node:fs";

export const languages = ["en", "zh-CN"];

export function wordsOf(language) {
  const catalog = JSON.parse(readFileSync(new URL(`../simulator/server/console/i18n/${language}.json`, import.meta.url)));
  return (key, places = {}) => {
    if (!(key in catalog)) throw new Error(`the catalog ${language} has no ${key}`);
    return catalog[key].replace(/\{(\w+)\}/g, (place, name) => (name in places ? String(places[name]) : place));
  };
}
