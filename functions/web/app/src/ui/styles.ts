/** Adds the styles of a part that is loaded later: `import css from "./part.lazy.css"; addStyles(css);`. */
export function addStyles(css: string): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}
