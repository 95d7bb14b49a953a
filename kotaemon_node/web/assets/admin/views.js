// The views of the admin page, and who may see which: as the routes behind them allow.
import { ofCluster } from "../access.js";
import { AnalyticsView } from "./analytics/analytics-view.js";
import { AuditView } from "./audit/audit-view.js";
import { ClusterView } from "./cluster/cluster-view.js";
import { FaqView } from "./faq-view.js";
import { KnowledgeView } from "./knowledge/knowledge-view.js";
import { PluginsView } from "./plugins/plugins-view.js";
import { QueueView } from "./queue/queue-view.js";
import { SessionsView } from "./sessions/sessions-view.js";

const VIEWS = [
  { name: "cluster", draw: ClusterView, roles: ["open", "admin"], whole: true },
  { name: "knowledge", draw: KnowledgeView, roles: ["open", "admin", "editor"] },
  { name: "sessions", draw: SessionsView, roles: ["open", "admin", "agent"] },
  { name: "plugins", draw: PluginsView, roles: ["open", "admin"], whole: true },
  { name: "analytics", draw: AnalyticsView, roles: ["open", "admin", "editor"] },
  { name: "queue", draw: QueueView, roles: ["open", "admin", "editor"] },
  { name: "faq", draw: FaqView, roles: ["open", "admin", "editor"] },
  { name: "audit", draw: AuditView, roles: ["open", "admin"] },
];

/** `whole`: it is about all tenants. */
export const viewsOf = (caller) =>
  VIEWS.filter(({ roles, whole }) => roles.includes(caller.role) && (!whole || ofCluster(caller)));
