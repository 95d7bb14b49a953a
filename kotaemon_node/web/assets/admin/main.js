// Starts the admin page.
import { lookWhoWeAre } from "../access.js";
import { html, render } from "../html.js";
import { watchView } from "../view.js";
import { AdminApp } from "./app.js";
import { watchRoute } from "./route.js";

watchView();
watchRoute();
lookWhoWeAre();
render(html`<${AdminApp} />`, document.getElementById("page"));
