// Starts the page.
import { lookWhoWeAre } from "./access.js";
import { watchCluster } from "./cluster.js";
import { conversation, openFromAddress, turnEnded } from "./conversation.js";
import { html, render } from "./html.js";
import { watchPlace } from "./place.js";
import { refreshSessions } from "./sessions.js";
import { App } from "./ui/app.js";
import { view, watchView } from "./view.js";

watchView();
turnEnded.add(refreshSessions);
addEventListener("popstate", conversationMoved);
watchPlace();
lookWhoWeAre();
openFromAddress();
watchCluster();
if (view.value.side) refreshSessions();
render(html`<${App} />`, document.getElementById("page"));

/** Another place of the page is no reason to leave the conversation that is open. */
function conversationMoved() {
  const named = new URL(location.href).searchParams.get("s") || null;
  if (named !== conversation.value.sid) openFromAddress();
}
