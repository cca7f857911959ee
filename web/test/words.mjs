// The words of the catalogs that the story needs, read from the catalogs themselves.
import fs from "node:fs";

export function words(lang) {
  const all = JSON.parse(fs.readFileSync(new URL(`../../simulator/server/console/i18n/${lang}.json`, import.meta.url)));
  return (key) => {
    if (!(key in all)) throw new Error("no text " + key);
    return all[key];
  };
}
