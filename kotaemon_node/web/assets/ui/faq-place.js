// The FAQ's page, fetched when somebody goes there: most never do.
import { html, useLayoutEffect, useState } from "../html.js";

export function FaqPlace(properties) {
  const [Page, setPage] = useState(null);
  useLayoutEffect(() => {
    // A function in a setter would be called: hence one around it.
    import("./faq-page.js").then(({ FaqPage }) => setPage(() => FaqPage), () => location.reload());
  }, []);
  return Page && html`<${Page} ...${properties} />`;
}
