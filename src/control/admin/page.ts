import type { Route } from './routes.ts';

/** What is here, for a person with a browser. */
export function page(
  routes: readonly Route[],
  { version, nodeName }: { readonly version: string; readonly nodeName: string },
): string {
  const rows = routes.map(({ method, path, summary, params }) => {
    const query = Object.keys(params).map((name) => `<code>?${name}</code>`);
    const shown = method === 'GET' ? `<a href="${path}">${path}</a>` : path;
    return `<tr><td>${method}</td><td>${shown}</td><td>${escaped(summary)} ${query.join(' ')}</td></tr>\n`;
  });
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Heddle on ${escaped(nodeName)}</title>
<h1>Heddle ${escaped(version)} on ${escaped(nodeName)}</h1>
<table>
${rows.join('')}</table>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
