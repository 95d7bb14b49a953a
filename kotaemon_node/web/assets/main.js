// Starts the page.
import { lookWhoWeAre } from "./access.js";
import { watchCluster } from "./cluster.js";
import { openFromAddress, turnEnded } from "./conversation.js";
import { html, render } from "./html.js";
import { refreshSessions } from "./sessions.js";
import { App } from "./ui/app.js";
import { view, watchView } from "./view.js";

watchView();
turnEnded.add(refreshSessions);
addEventListener("popstate", openFromAddress);
lookWhoWeAre();
openFromAddress();
watchCluster();
if (view.value.side) refreshSessions();
render(html`<${App} />`, document.getElementById("page"));
